"""Numbers that only rise."""

import time
from pathlib import Path

from edge_agent.memory import Memory


def test_what_is_remembered_never_falls_and_survives(tmp_path: Path) -> None:
    path = tmp_path / "memory.json"
    memory = Memory(path)
    memory.see_revision(5)
    memory.see_revision(3)
    assert memory.raise_min_version("digits", 4) == 4
    assert memory.raise_min_version("digits", 2) == 4
    memory.keep_acceptance("digits", ("a" * 64,))
    session = memory.next_session()
    again = Memory(path)
    assert (again.revision_seen, again.raise_min_version("digits", 1), again.kept_digests) == (5, 4, {"a" * 64})
    assert again.next_session() > session


def test_after_a_loss_sessions_still_rise_by_the_clock(tmp_path: Path) -> None:
    path = tmp_path / "memory.json"
    path.write_bytes(b"\x00" * 30)
    assert Memory(path).next_session() >= int(time.time()) - 1
