"""What every test has: no network but loopback, the real data of ../shared where it is present."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
import time
from collections.abc import Generator
from pathlib import Path

import hypothesis
import pytest

from tests import ROOT

GUARD = Path(__file__).resolve().parent / "network_guard"

# Worker processes (forkserver, spawn, pytest-xdist) inherit the variable and import the guard at start-up; this process
# has started already and imports it by name.
os.environ["PYTHONPATH"] = os.pathsep.join([str(GUARD), *filter(None, [os.environ.get("PYTHONPATH")])])
sys.path.insert(0, str(GUARD))
sys.modules.pop("sitecustomize", None)
import sitecustomize  # noqa: E402

sitecustomize.install()

# Ray makes its workers give way to all else: beside busy processes a worker would take minutes to start.
os.environ.setdefault("RAY_worker_niceness", "0")

# Threads of LightGBM wait busily for each other, which beside busy processes takes many times the work itself.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# A shell starts what runs in its background deaf to interrupts, nohup to hang-ups, and children inherit that: tests
# send both to children.
for _signal, _handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(_signal) == signal.SIG_IGN:
        signal.signal(_signal, _handler)

# Once, here, under the filters of eotasks: pytest replaces all filters before it loads a module of tests, of which many
# import eo-learn first, and dependencies that warn when they are imported would be errors.
import eotasks  # noqa: E402, F401, I001
import eolearn.core  # noqa: E402, F401

# No test asserts a time; hypothesis does by default. The same examples each time: a change is red by its own fault.
# EOTASKS_RANDOM_EXAMPLES=1 looks at others.
hypothesis.settings.register_profile(
    "eotasks",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    derandomize=os.environ.get("EOTASKS_RANDOM_EXAMPLES", "") in ("", "0"),
)
hypothesis.settings.load_profile("eotasks")

pytest_plugins = [
    "tests.servers.lying",
    "tests.servers.made_service",
    "tests.servers.requester_pays",
    "tests.servers.s3",
    "tests.servers.signed",
    "tests.servers.web",
    "tests.servers.counting",  # after what it imports
]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data for tests, in a folder beside the checkout; users do not have it."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the shared test data (../shared/data) is absent")
    return folder


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Where nothing is compiled yet, each process of pytest-xdist would compile all tests, asserts rewritten, which is
    half of what collecting takes. Here each begins with files of its own, and finds those of the others done.
    """
    worker = getattr(session.config, "workerinput", None)
    all_are_run = session.config.args_source is pytest.Config.ArgsSource.TESTPATHS
    if worker is None or sys.dont_write_bytecode or not all_are_run:
        return
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    for file in files[int(worker["workerid"].removeprefix("gw")) :: worker["workercount"]]:
        # What is skipped or cannot be imported is told when it is collected.
        with contextlib.suppress(Exception, pytest.skip.Exception):
            importlib.import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first: one that starts last would leave the other processes with nothing to do."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """CI has an end: no test begins after this second of the epoch, and those left out are counted."""
    if time.time() > float(os.environ.get("EOTASKS_TESTS_UNTIL", "inf")):
        pytest.skip("its time was over (EOTASKS_TESTS_UNTIL)")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Halves of characters, as hostile names have them, would end the processes of pytest-xdist that report them."""
    report = yield
    report.sections = [(name, encodable(text)) for name, text in report.sections]
    if report.longrepr is not None and encodable(str(report.longrepr)) != str(report.longrepr):
        report.longrepr = encodable(str(report.longrepr))
    return report


def encodable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
