"""What scripts declare, by their text: those that were asked for last, within bounds."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict

from eotasks.service.evalscript.engine import Description


class Descriptions:
    """What scripts declare. May be used by several threads.

    :param most: Scripts.
    :param names: Of bands, inputs and outputs of them all: one script can declare thousands.
    """

    def __init__(self, most: int, names: int) -> None:
        self._most, self._most_names = most, names
        self._lock = threading.Lock()
        self._known: OrderedDict[bytes, tuple[Description, int]] = OrderedDict()
        self._names = 0

    def get(self, script: str) -> Description | None:
        """What a script declares; None when it is not known."""
        key = _digest(script)
        with self._lock:
            if key not in self._known:
                return None
            self._known.move_to_end(key)
            return self._known[key][0]

    def put(self, script: str, description: Description) -> None:
        """Keep what a script declares."""
        setup = description.setup
        names = sum(1 + len(each.bands) for each in setup.inputs) + sum(1 + len(each.bands) for each in setup.outputs)
        key = _digest(script)
        with self._lock:
            if key in self._known or names > self._most_names // 10:  # one shall not push out all others
                return
            self._known[key] = (description, names)
            self._names += names
            while len(self._known) > self._most or self._names > self._most_names:
                self._names -= self._known.popitem(last=False)[1][1]


def _digest(script: str) -> bytes:
    return hashlib.sha256(script.encode("utf-8", "surrogatepass")).digest()
