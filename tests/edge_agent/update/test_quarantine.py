import errno
from pathlib import Path

import pytest

from contract.states import FailureReason
from edge_agent.update.disk import RealDisk
from edge_agent.update.quarantine import LOST_AFTER, QUARANTINE_FILE, Quarantine
from edge_agent.update.records import Quarantined


class FailingDisk(RealDisk):
    """Reads fail as often as `failures` says."""

    failures = 0

    def read(self, path: Path, max_bytes: int) -> bytes:
        if self.failures:
            self.failures -= 1
            raise OSError(errno.EIO, "Input/output error")
        return super().read(path, max_bytes)


ENTRY = Quarantined(1, FailureReason.PROBATION_ERRORS, "it fails")


@pytest.mark.parametrize("failures", [1, 2, 3, 7])
def test_what_can_not_be_read_at_once_is_not_forgotten(tmp_path: Path, failures: int) -> None:
    Quarantine(tmp_path, RealDisk()).replace({"a" * 64: ENTRY})
    disk = FailingDisk()
    disk.failures = failures
    quarantine = Quarantine(tmp_path, disk)
    for _ in range(4):
        known = quarantine.entries
    assert known == {"a" * 64: ENTRY}


def test_a_missing_or_damaged_file_counts_as_empty(tmp_path: Path) -> None:
    assert Quarantine(tmp_path, RealDisk()).entries == {}
    (tmp_path / QUARANTINE_FILE).write_bytes(b'{"half')
    assert Quarantine(tmp_path, RealDisk()).entries == {}


def test_what_can_not_be_read_is_not_replaced_by_what_is_new(tmp_path: Path) -> None:
    Quarantine(tmp_path, RealDisk()).replace({"a" * 64: ENTRY})
    disk = FailingDisk()
    disk.failures = 4
    quarantine = Quarantine(tmp_path, disk)
    with pytest.raises(OSError, match="Input/output"):
        quarantine.replace({"b" * 64: ENTRY})
    assert set(quarantine.entries) == {"a" * 64, "b" * 64}
    quarantine.save()
    assert set(Quarantine(tmp_path, RealDisk()).entries) == {"a" * 64, "b" * 64}


def test_a_release_is_written(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path, RealDisk())
    quarantine.replace({"a" * 64: ENTRY, "b" * 64: ENTRY})
    quarantine.replace({"b" * 64: ENTRY})
    assert set(quarantine.entries) == set(Quarantine(tmp_path, RealDisk()).entries) == {"b" * 64}


def test_a_file_that_can_never_be_read_does_not_stand_in_the_way_for_ever(tmp_path: Path) -> None:
    Quarantine(tmp_path, RealDisk()).replace({"a" * 64: ENTRY})
    disk = FailingDisk()
    disk.failures = 10**6
    quarantine = Quarantine(tmp_path, disk)
    for _ in range(LOST_AFTER - 1):
        with pytest.raises(OSError, match="Input/output"):
            quarantine.save()
    quarantine.replace({"b" * 64: ENTRY})
    assert set(Quarantine(tmp_path, RealDisk()).entries) == {"b" * 64}
