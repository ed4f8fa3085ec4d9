"""What all tests share: a quiet, small and repeatable environment, and who of several test processes runs what."""

import atexit
import gc
import os
import sys
from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("PYTEST_QT_API", "pyside6")
os.environ["EYELET_AGENT_SENSORS"] = "/nowhere"  # an update waits on a hot machine
os.environ.pop("EYELET_PROJECT", None)
os.environ.pop("EYELET_KEYS", None)
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # a thousand processes start: they need not compile the same modules each time

# Busy cores make an example slow, and no rule false. What a rule says hangs on no version of Python: an older one tries fewer examples.
settings.register_profile(
    "busy", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=100 if sys.version_info >= (3, 11) else 30
)
settings.load_profile("busy")

TOGETHER = ("tests/converters/", "tests/desktop_app/release/", "tests/desktop_app/ui/")
"""Folders for one process: their tests share what is trained and converted once a session."""

FIRST = (
    "tests/desktop_app/ui/",
    "tests/docs/test_tutorial.py",
    "tests/desktop_app/release/",
    "tests/edge_agent/test_killed_agent.py",
    "tests/edge_agent/test_fleet_updates.py",
    "tests/stories/test_usb_sticks.py",
    "tests/stories/test_from_folder_to_package.py",
    "tests/stories/test_fleet_story.py",
    "tests/converters/",
    "tests/edge_agent/update/test_kill_matrix.py",
    "tests/stories/test_patched_update.py",
    "tests/stories/test_interrupted_commands.py",
    "tests/edge_agent/frames/test_capture_process.py",
    "tests/fleet_server/test_serving.py",
    "tests/stories/test_a_table.py",
    "tests/stories/test_field_samples.py",
    "tests/stories/test_packages_that_are_refused.py",
    "tests/test_architecture.py",
    "tests/desktop_app/training/test_job_process.py",
)
"""What takes long, so that in the end no process works on it alone."""


def unit_of(nodeid: str) -> str:
    """What one process runs as a whole: a file, or a folder of `TOGETHER`."""
    return next((folder for folder in TOGETHER if nodeid.startswith(folder)), nodeid.partition("::")[0])


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is imported now stays: no garbage is looked for among it, neither meanwhile nor later; and later seldom, nor at the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(10_000, 20, 20)
        gc.enable()
        atexit.register(gc.freeze)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """By chance (pytest-randomly), but the long ones first."""
    places = {unit: place for place, unit in enumerate(FIRST)}
    items.sort(key=lambda item: places.get(unit_of(item.nodeid), len(FIRST)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """With `-n`: a unit to each process, in the order above."""
    from xdist.scheduler import LoadScopeScheduling

    class UnitScheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return unit_of(nodeid)

    config.option.loadscopereorder = False
    return UnitScheduling(config, log)
