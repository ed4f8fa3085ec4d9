"""Bundles are written reproducibly, and read with bounds; whatever is wrong with the zip is said in words."""

import contextlib
import zipfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract import bundle as bundles
from contract.bundle import BUNDLE_SUFFIX, BundleIndex, is_bundle_name, opened_bundle, read_index, write_bundle
from contract.errors import ContractError, FormatError, PackageError, SchemaVersionError, SizeError
from contract.files import sha256_of
from contract.manifest import FileEntry

MANIFEST = b"the manifest"
INDEX = BundleIndex(1, "digits", 3, FileEntry(sha256_of(MANIFEST), len(MANIFEST)))


def make(path: Path, **extra: bytes) -> Path:
    return write_bundle(path, INDEX, {"1.root.json": b"{}", **extra}, {sha256_of(MANIFEST): MANIFEST})


def rewritten(path: Path, entries: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as zipped:
        for name, data in entries.items():
            zipped.writestr(name, data)
    return path


def test_a_bundle_round_trips(tmp_path: Path) -> None:
    with opened_bundle(make(tmp_path / "a")) as bundle:
        assert bundle.index == INDEX
        assert b"".join(bundle.artifact(sha256_of(MANIFEST))) == MANIFEST
        assert b"".join(bundle.metadata("1.root.json")) == b"{}"
        assert bundle.artifact_size(sha256_of(MANIFEST)) == len(MANIFEST)
        assert bundle.metadata_size("2.root.json") is None


def test_the_same_content_is_the_same_file(tmp_path: Path) -> None:
    assert make(tmp_path / "a").read_bytes() == make(tmp_path / "b").read_bytes()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None, max_examples=150)
@given(place=st.integers(0, 2000), value=st.integers(1, 255), cut=st.booleans())
def test_a_damaged_bundle_is_refused_in_words_or_reads_as_something_else(tmp_path: Path, place: int, value: int, cut: bool) -> None:
    body = bytearray(make(tmp_path / "whole").read_bytes())
    if cut:
        del body[place % len(body) :]
    else:
        body[place % len(body)] ^= value
    (tmp_path / "damaged").write_bytes(body)
    with contextlib.suppress(ContractError), opened_bundle(tmp_path / "damaged") as bundle:
        list(bundle.artifact(sha256_of(MANIFEST)))


def test_what_lies_outside_is_refused(tmp_path: Path) -> None:
    index = msgspec.json.encode(INDEX)
    for name in ("../evil", "/evil", "a/../b", "C:\\evil"):
        with pytest.raises(PackageError, match="only plain relative names"):
            read_index(rewritten(tmp_path / "x", {"bundle.json": index, name: b""}))


def test_a_compressed_entry_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="compressed"):
        read_index(rewritten(tmp_path / "x", {"bundle.json": msgspec.json.encode(INDEX) + b" " * 5000}, zipfile.ZIP_DEFLATED))


def test_a_zip_without_index_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match=r"no bundle\.json"):
        read_index(rewritten(tmp_path / "x", {"other": b""}))


def test_a_broken_or_newer_index_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError):
        read_index(rewritten(tmp_path / "x", {"bundle.json": b"{}"}))
    newer = msgspec.json.encode(msgspec.structs.replace(INDEX, schema_version=2))
    with pytest.raises(SchemaVersionError):
        read_index(rewritten(tmp_path / "x", {"bundle.json": newer}))


def test_what_is_too_large_is_neither_made_nor_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "a")
    monkeypatch.setattr(bundles, "ENTRIES_MAX", 2)
    with pytest.raises(SizeError):
        make(tmp_path / "b")
    with pytest.raises(SizeError):
        read_index(tmp_path / "a")
    monkeypatch.setattr(bundles, "PACKAGE_MAX_BYTES", -(1 << 20))
    with pytest.raises(SizeError):
        read_index(tmp_path / "a")


def test_a_directory_without_end_is_not_read(tmp_path: Path) -> None:
    entries = {"bundle.json": msgspec.json.encode(INDEX)} | {f"{number:0100}": b"" for number in range(8000)}
    with pytest.raises(SizeError, match="directory of x is larger"):
        read_index(rewritten(tmp_path / "x", entries))
    body = make(tmp_path / "b").read_bytes()
    (tmp_path / "b").write_bytes(body[:-22] + b"PK\x06\x07" + bytes(16) + body[-22:])
    with pytest.raises(SizeError, match="directory of b is larger"):
        read_index(tmp_path / "b")


def test_an_error_of_the_reader_is_its_own(tmp_path: Path) -> None:
    with pytest.raises(KeyError), opened_bundle(make(tmp_path / "a")):
        raise KeyError("mine")


def test_only_plain_names_are_names_of_bundles() -> None:
    assert is_bundle_name(f"digits-3{BUNDLE_SUFFIX}")
    for name in (f".digits{BUNDLE_SUFFIX}", f"a/b{BUNDLE_SUFFIX}", f"run me{BUNDLE_SUFFIX}", "digits.eyelet", f"a\n{BUNDLE_SUFFIX}"):
        assert not is_bundle_name(name)
