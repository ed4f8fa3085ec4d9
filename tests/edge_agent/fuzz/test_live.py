"""A short run of every door in `live`; `make fuzz` runs them for longer."""

from pathlib import Path

import pytest

from tests.edge_agent.fuzz.fuzzing import Door, fuzz
from tests.edge_agent.fuzz.live import LIVE

pytestmark = pytest.mark.once

SECONDS = 1.0


@pytest.mark.parametrize("door", LIVE, ids=lambda door: door.name)
def test_bad_bytes_are_refused_in_words_and_leave_nothing_behind(door: Door, tmp_path: Path) -> None:
    assert fuzz(door, tmp_path, seconds=SECONDS, seed=1).rounds > 0
