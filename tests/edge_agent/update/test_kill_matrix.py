"""A slice of the kill matrix; `make kill-matrix` runs all of it."""

import random
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.states import UpdateState
from edge_agent.home import Home
from edge_agent.update.disk import RealDisk, replace_content
from edge_agent.update.slots import LAST_KNOWN_GOOD, SlotStore
from scripts.kill_matrix import REAL_KILLS, Outcome, build_table, make_templates, run_kills, scratch_folder
from tests.simulators.disk import Operation, PowerCut, SimulatedDisk, put_tree
from tests.simulators.kill_cases import ROWS, Case, Fault, Template, plan_cases, run_case
from tests.simulators.updates import SLOT, Device, World

SLICE = {"cuts": 78, "every": 150, "every_work": 2} if sys.version_info >= (3, 11) else {"cuts": 26, "every": 450, "every_work": 4}
"""The rules hang on no version of Python: an older one tries fewer cases."""


@pytest.fixture(scope="module")
def in_memory() -> Iterator[Path]:
    """A folder that waits for no real disk: the disk of the cases is a simulated one."""
    folder = scratch_folder()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def templates() -> dict[str, Template]:
    return make_templates()


def test_nothing_breaks_by_a_cut_an_error_a_hang_a_kill_or_a_full_disk(templates: dict[str, Template], in_memory: Path) -> None:
    struck: set[tuple[str, Fault]] = set()
    for case in plan_cases(templates, seed=7, **SLICE):
        row, wrong = run_case(templates[case.scenario], case, in_memory / "home")
        assert not wrong, f"{case}: {wrong}"
        struck.add((row, case.fault))
    assert {row for row, fault in struck if fault is Fault.CUT} == set(ROWS)


def test_every_cell_of_the_matrix_has_cases(templates: dict[str, Template]) -> None:
    cells = {(case.state, case.fault) for case in plan_cases(templates, cuts=len(ROWS), every=1, seed=0)}
    assert cells == {(row, fault) for row in ROWS for fault in Fault}


def test_the_same_case_does_the_same_again(templates: dict[str, Template], tmp_path: Path) -> None:
    case = Case("the next version", Fault.CUT, 60, "activating", 5)
    assert run_case(templates[case.scenario], case, tmp_path / "one") == run_case(templates[case.scenario], case, tmp_path / "two")


def test_a_real_agent_is_killed_and_comes_back() -> None:
    outcomes = list(run_kills(2, seed=4))
    assert [outcome.wrong for outcome in outcomes] == [(), ()]


def test_a_failed_case_shows_in_the_table() -> None:
    table = build_table([Outcome("staged", REAL_KILLS, "", ()), Outcome("staged", REAL_KILLS, "", ("it broke",))])
    assert "1 of 2 FAILED" in table


def test_the_simulated_disk_forgets_what_was_not_synced(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    disk = SimulatedDisk(tmp_path / "disk")
    kept, lost = tmp_path / "disk" / "kept", tmp_path / "disk" / "lost"
    replace_content(disk, kept, b"kept")
    disk.write(lost, b"never synced")
    seen = set()
    for seed in range(40):
        cut = SimulatedDisk(tmp_path / "disk")
        cut.write(lost, b"never synced")
        cut.append(kept, b" and torn")
        cut.lose_power(random.Random(seed))
        assert kept.read_bytes().startswith(b"kept")
        seen.add(lost.read_bytes() if lost.exists() else None)
        with pytest.raises(PowerCut):
            cut.sync(kept)
        kept.write_bytes(b"kept")
        lost.unlink(missing_ok=True)
    assert None in seen
    assert len(seen) > 3


def test_a_rename_before_the_content_is_synced_is_caught(tmp_path: Path) -> None:
    """What a careless writer would do; the simulated disk is there to notice it."""
    (tmp_path / "disk").mkdir()
    target, damaged = tmp_path / "disk" / "pointer", 0
    for seed in range(30):
        disk = SimulatedDisk(tmp_path / "disk")
        disk.write(target.with_name("new"), b"whole content")
        disk.rename(target.with_name("new"), target)
        disk.lose_power(random.Random(seed))
        damaged += target.exists() and target.read_bytes() != b"whole content"
        target.unlink(missing_ok=True)
        target.with_name("new").unlink(missing_ok=True)
    assert damaged


def test_the_real_disk_links_or_copies_and_never_replaces(tmp_path: Path) -> None:
    disk = RealDisk()
    disk.write(tmp_path / "a", b"1")
    disk.link(tmp_path / "a", tmp_path / "b")
    with pytest.raises(FileExistsError):
        disk.link(tmp_path / "a", tmp_path / "b")


def test_a_commit_that_reached_the_disk_before_a_kill_is_not_undone_by_a_disk_that_complains_afterwards(
    templates: dict[str, Template], tmp_path: Path
) -> None:
    template, folder = templates["the next version"], tmp_path / "home"
    put_tree(folder, template.tree)
    world = World(template.versions)
    good = SlotStore(Home(folder))

    def kill_before_the_journal_is_told(operation: Operation) -> None:
        proven = good.pointer(SLOT, LAST_KNOWN_GOOD)
        if device.state is UpdateState.COMMITTING and operation.path.name == "journal.jsonl" and proven and proven.model.version == 2:
            raise PowerCut

    def complain_about_pointers(operation: Operation) -> None:
        if device.state is UpdateState.COMMITTING and "slots" in operation.path.parts:
            raise OSError(5, "Input/output error")

    device = Device(folder, world, SimulatedDisk(folder, kill_before_the_journal_is_told))
    assert not device.live([world.wish(2, 2)])
    device.disk.is_dead = True
    device = Device(folder, world, SimulatedDisk(folder, complain_about_pointers))
    assert device.live([world.wish(2, 2)])
    assert device.state is UpdateState.DONE
    assert device.runner.state.current == device.runner.state.last_known_good
