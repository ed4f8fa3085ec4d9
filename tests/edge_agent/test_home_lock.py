"""One agent per folder, whatever the disk is like."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from edge_agent.home import HomeError
from edge_agent.home_lock import HomeLock


def test_the_second_is_told_who_has_it_until_it_is_given_back(tmp_path: Path) -> None:
    first, second = HomeLock(tmp_path / "run" / "lock"), HomeLock(tmp_path / "run" / "lock")
    first.take()
    with pytest.raises(HomeError, match=rf"another agent \(process {os.getpid()}\) runs in {tmp_path}; stop it first"):
        second.take()
    first.release()
    second.take()
    second.release()


def test_a_killed_agent_holds_nothing(tmp_path: Path) -> None:
    story = (
        "import sys, os; from pathlib import Path; from edge_agent.home_lock import HomeLock\n"
        "HomeLock(Path(sys.argv[1])).take(); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", story, str(tmp_path / "run" / "lock")], check=False)
    lock = HomeLock(tmp_path / "run" / "lock")
    lock.take()
    lock.release()


@pytest.mark.skipif(os.name != "posix", reason="elsewhere the file is the lock")
def test_where_the_file_can_not_be_made_the_folder_is_locked_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "run" / "lock"
    path.mkdir(parents=True)  # as good as a full disk: no file of this name can be had
    first, second = HomeLock(path), HomeLock(path)
    first.take()
    with pytest.raises(HomeError, match="another agent"):
        second.take()
    first.release()


@pytest.mark.skipif(os.name != "posix", reason="counts descriptors")
def test_no_descriptor_is_left_open_by_a_refusal(tmp_path: Path) -> None:
    first, second = HomeLock(tmp_path / "run" / "lock"), HomeLock(tmp_path / "run" / "lock")
    first.take()
    before = psutil.Process().num_fds()
    for _ in range(3):
        with pytest.raises(HomeError):
            second.take()
    assert psutil.Process().num_fds() == before
    first.release()
