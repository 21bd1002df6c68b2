"""What is relied on of numpy, and was not so before its floor."""

from __future__ import annotations

import subprocess
import sys

RACE = """
import threading
import numpy as np

def count():
    for _ in range(1500):
        np.arange(1200.0).reshape(30, 40).std()

threads = [threading.Thread(target=count) for _ in range(3)]
for thread in threads:
    thread.start()
mirrored = np.zeros((3, 9, 9), np.uint8)[..., ::-1, ::-1]
for _ in range(1500):
    assert (mirrored > -1).all()
for thread in threads:
    thread.join()
"""


def test_a_comparison_beside_threads_keeps_the_lock_of_the_interpreter() -> None:
    """Until numpy 2.2.0 the process died, or counted wrong: integers became objects while other threads ran."""
    subprocess.run([sys.executable, "-c", RACE], check=True)
