"""Which patches are worth making."""

from contract.deltas import PATCHED_LEAST_BYTES, PATCHED_MAX_BYTES
from contract.files import sha256_of
from contract.manifest import FileEntry, Manifest
from fleet_server.deltas.pairs import BASES_MAX, TARGETS_MAX, Pair, choose_bases, plan_pairs
from tests.simulators.studio import FILE_NAMES, make_manifest

BIG = 100_000


def manifest(version: int, size: int = BIG, golden: int = 0) -> Manifest:
    files = {name: FileEntry(sha256_of(f"{name} {version if name != 'golden.npz' else golden}".encode()), 50) for name in FILE_NAMES}
    files["model.onnx"] = FileEntry(files["model.onnx"].sha256, size)
    return make_manifest("digits", version, files)


def model(version: int) -> FileEntry:
    return manifest(version).files["model.onnx"]


def test_from_what_runs_to_the_newest_and_the_whole_compressed() -> None:
    pairs = plan_pairs({1: manifest(1), 2: manifest(2)}, {1: 5})
    assert pairs[:2] == [Pair(model(2), model(1)), Pair(model(2), None)]


def test_back_again_too() -> None:
    assert Pair(model(1), model(2)) in plan_pairs({1: manifest(1), 2: manifest(2)}, {2: 5})


def test_small_and_huge_files_are_left_whole() -> None:
    for size in (PATCHED_LEAST_BYTES - 1, PATCHED_MAX_BYTES + 1):
        assert plan_pairs({1: manifest(1, size), 2: manifest(2, size)}, {1: 1}) == []


def test_a_file_that_did_not_change_needs_no_patch() -> None:
    same = {1: manifest(1), 2: make_manifest("digits", 2, dict(manifest(1).files))}
    assert [pair for pair in plan_pairs(same, {1: 1}) if pair.base] == []


def test_a_wished_version_comes_before_the_newest() -> None:
    pairs = plan_pairs({number: manifest(number) for number in range(1, 6)}, {1: 3}, wished=[2])
    assert pairs[0] == Pair(model(2), model(1))
    assert len({pair.target for pair in pairs}) == TARGETS_MAX


def test_bases_are_what_most_devices_run() -> None:
    assert choose_bases([6, 5, 4, 3, 2, 1], {1: 10, 4: 2, 6: 99, 3: 20}, 6) == [3, 1, 4]


def test_where_nobody_says_what_runs_the_versions_before_are_the_bases() -> None:
    assert choose_bases([6, 5, 4, 3, 2, 1], {}, 6) == [5, 4, 3]
    assert len(choose_bases([6, 5, 4, 3, 2, 1], {}, 6)) == BASES_MAX


def test_a_wish_for_a_withdrawn_version_plans_nothing_of_it() -> None:
    assert plan_pairs({2: manifest(2)}, {1: 1}, wished=[1]) == [Pair(model(2), None)]
