"""A short run of every door in `sockets`; `make fuzz` runs them for longer."""

from pathlib import Path

import pytest

from tests.edge_agent.fuzz.fuzzing import Door, fuzz
from tests.edge_agent.fuzz.sockets import SOCKETS

SECONDS = 0.25


@pytest.mark.parametrize("door", SOCKETS, ids=lambda door: door.name)
def test_bad_bytes_are_refused_in_words_and_leave_nothing_behind(door: Door, tmp_path: Path) -> None:
    assert fuzz(door, tmp_path, seconds=SECONDS, seed=1).rounds > 0
