"""Patches round trip whatever the files are, and whatever comes as a patch never makes more than was promised."""

import contextlib
import random
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.alignment import NO_BASE, align
from contract.bytewise import add_bytes, subtract_bytes
from contract.deltas import PATCHED_MAX_BYTES, PatchKind, is_worth_it
from contract.errors import ContractError, FormatError, SizeError
from contract.patching import Job, apply_patch, make_patch

KINDS = list(PatchKind)
in_a_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None, max_examples=40)


def weights(seed: int, size: int = 100_000) -> bytes:
    return random.Random(seed).randbytes(size)


def tuned(data: bytes, seed: int) -> bytes:
    """Every third byte moved by one."""
    chance = random.Random(seed)
    return bytes((value + chance.choice((0, 0, 1, 255))) % 256 for value in data)


def apply(folder: Path, kind: PatchKind, base: bytes | None, patch: bytes, size_bytes: int) -> bytes:
    (folder / "patch").write_bytes(patch)
    if base is not None:
        (folder / "base").write_bytes(base)
    pieces: list[bytes] = []
    apply_patch(Job(kind, folder / "base" if base is not None else None, folder / "patch", size_bytes), pieces.append)
    return b"".join(pieces)


@in_a_folder
@given(base=st.binary(max_size=9000), target=st.binary(max_size=9000), kind=st.sampled_from(KINDS))
def test_any_two_files_round_trip(tmp_path: Path, base: bytes, target: bytes, kind: PatchKind) -> None:
    assert apply(tmp_path, kind, base, make_patch(kind, base, target), len(target)) == target


@in_a_folder
@given(patch=st.binary(max_size=300), kind=st.sampled_from(KINDS), size=st.integers(0, 1000))
def test_any_bytes_as_a_patch_are_refused_or_make_the_promised_length(tmp_path: Path, patch: bytes, kind: PatchKind, size: int) -> None:
    with contextlib.suppress(ContractError):
        assert len(apply(tmp_path, kind, b"base" * 100, patch, size)) == size


@in_a_folder
@given(place=st.integers(0, 400), value=st.integers(1, 255), kind=st.sampled_from(KINDS))
def test_a_damaged_patch_is_refused_or_makes_the_promised_length(tmp_path: Path, place: int, value: int, kind: PatchKind) -> None:
    base, target = weights(1, 3000), tuned(weights(1, 3000), 2)
    patch = bytearray(make_patch(kind, base, target))
    patch[place % len(patch)] ^= value
    with contextlib.suppress(ContractError):
        assert len(apply(tmp_path, kind, base, bytes(patch), len(target))) == len(target)


@given(first=st.binary(max_size=500), seed=st.integers(0, 1000))
def test_bytes_add_and_subtract_modulo_256(first: bytes, seed: int) -> None:
    second = random.Random(seed).randbytes(len(first))
    assert add_bytes(first, second) == bytes((one + other) % 256 for one, other in zip(first, second, strict=True))
    assert subtract_bytes(first, second) == bytes((one - other) % 256 for one, other in zip(first, second, strict=True))


def test_a_fine_tuned_file_is_a_small_difference() -> None:
    base = weights(1)
    patch = make_patch(PatchKind.DIFFERENCE, base, tuned(base, 2))
    assert is_worth_it(len(patch), len(base))
    assert len(patch) < 0.3 * len(base)
    assert not is_worth_it(len(make_patch(PatchKind.ZSTD, base, tuned(base, 2))), len(base)), "zstd finds no long match"


def test_what_moved_by_some_bytes_is_found_again() -> None:
    base = weights(1)
    target = tuned(base[:30_000], 3) + b"a longer name" + tuned(base[30_000:70_000], 4) + tuned(base[70_500:], 5)
    places = [segment.place for segment in align(base, target, 100)]
    assert NO_BASE not in places[:-1]
    assert len(make_patch(PatchKind.DIFFERENCE, base, target)) < 0.4 * len(target)


def test_other_content_has_no_base() -> None:
    segments = align(weights(1), weights(2), 100)
    assert [segment.place for segment in segments] == [NO_BASE]


def test_a_patch_that_swells_is_stopped_at_the_promised_length(tmp_path: Path) -> None:
    bomb = zstandard.ZstdCompressor(level=19).compress(bytes(200 << 20))
    assert len(bomb) < 100_000
    written = 0

    def write(piece: bytes) -> None:
        nonlocal written
        written += len(piece)

    (tmp_path / "patch").write_bytes(bomb)
    with pytest.raises(SizeError, match="more than the 1000000 bytes"):
        apply_patch(Job(PatchKind.ZSTD, None, tmp_path / "patch", 1_000_000), write)
    assert written <= 1_000_000


def test_a_frame_that_asks_for_a_huge_window_is_refused(tmp_path: Path) -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=30, write_content_size=False)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    frame = compressor.compress(b"x") + compressor.flush()
    with pytest.raises(FormatError, match="broken"):
        apply(tmp_path, PatchKind.ZSTD, None, frame, 1)


def test_a_patch_that_ends_early_is_refused(tmp_path: Path) -> None:
    base, target = weights(1, 5000), tuned(weights(1, 5000), 2)
    for kind in KINDS:
        patch = make_patch(kind, base, target)
        with pytest.raises(ContractError):
            apply(tmp_path, kind, base, patch[:-20], len(target))


def test_a_patch_beyond_its_base_is_refused(tmp_path: Path) -> None:
    base = weights(1, 50_000)
    with pytest.raises(FormatError, match="beyond the end of its base"):
        apply(tmp_path, PatchKind.DIFFERENCE, base[:100], make_patch(PatchKind.DIFFERENCE, base, base), len(base))


def test_files_that_are_too_long_are_not_patched(tmp_path: Path) -> None:
    with pytest.raises(SizeError, match="not patched"):
        make_patch(PatchKind.ZSTD, b"", bytes(PATCHED_MAX_BYTES + 1))
    with pytest.raises(SizeError, match="not patched"):
        apply(tmp_path, PatchKind.ZSTD, None, b"", PATCHED_MAX_BYTES + 1)
