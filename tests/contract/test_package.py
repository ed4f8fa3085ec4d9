"""Packages: reproducible, and every trick of a zip or a folder refused."""

import shutil
import stat
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.codec import encode
from contract.errors import ContractError, DigestError, FormatError, PackageError, SchemaVersionError, SignatureError, SizeError
from contract.files import read_bounded, sha256_of, sha256_of_file
from contract.manifest import MANIFEST_MAX_BYTES
from contract.package import extract_archive, open_package, opened, read_manifest, write_archive
from contract.signing import generate_key, sign_document
from tests.contract.small_package import FILES, write_small_package


@pytest.fixture(scope="module")
def key():
    return generate_key()


@pytest.fixture(scope="module")
def original(key, tmp_path_factory):
    folder = tmp_path_factory.mktemp("original") / "package"
    write_small_package(folder, key)
    return folder


@pytest.fixture
def folder(original, tmp_path):
    return shutil.copytree(original, tmp_path / "package")


@pytest.fixture
def trusted(key):
    return {"model-digits": key.public}


@pytest.fixture
def archive(original, tmp_path):
    return write_archive(original, tmp_path / "digits.eyelet")


def rebuild(archive, change):
    """The archive written again by hand: `change(entries)` gets and returns a list of (ZipInfo, bytes)."""
    with zipfile.ZipFile(archive) as zipped:
        entries = [(info, zipped.read(info)) for info in zipped.infolist()]
    with pytest.warns() if change is duplicate else _nothing(), zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as zipped:
        for info, data in change(entries):
            zipped.writestr(info, data)


def _nothing():
    import contextlib

    return contextlib.nullcontext()


def entry(name, data=b"x", mode=stat.S_IFREG | 0o644, compression=zipfile.ZIP_STORED):
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    info.create_system, info.external_attr, info.compress_type = 3, mode << 16, compression
    return info, data


def duplicate(entries):
    return [*entries, entries[0]]


def test_an_archive_is_the_same_bytes_for_the_same_content_and_opens_again(original, archive, key, trusted, tmp_path):
    again = write_archive(shutil.copytree(original, tmp_path / "elsewhere"), tmp_path / "again.eyelet")
    assert again.read_bytes() == archive.read_bytes()
    extracted = extract_archive(archive, tmp_path / "out")
    package = open_package(extracted, trusted)
    assert (package.signed_by, package.digest) == ("model-digits", sha256_of_file(original / "manifest.json"))
    assert {name: package.path_of(name).read_bytes() for name in FILES} == FILES
    assert write_archive(extracted, tmp_path / "third.eyelet").read_bytes() == archive.read_bytes()


def test_a_package_opens_as_folder_and_as_file(original, archive, trusted, tmp_path):
    for path in (original, archive):
        with opened(path, trusted, tmp_path) as package:
            assert package.manifest.name == "digits"
            assert package.variant_path("onnx-float32").read_bytes() == FILES["model.onnx"]
    with pytest.raises(PackageError, match="does not exist"), opened(tmp_path / "absent", trusted):
        pass


TRICKS = {
    "duplicate": (duplicate, "twice"),
    "duplicate in other case": (lambda entries: [*entries, entry("MODEL.onnx")], "twice"),
    "absolute": (lambda entries: [*entries, entry("/etc/passwd")], "plain relative names"),
    "outside": (lambda entries: [*entries, entry("../outside")], "plain relative names"),
    "outside by a detour": (lambda entries: [*entries, entry("a/../../outside")], "plain relative names"),
    "hidden": (lambda entries: [*entries, entry(".bashrc")], "plain relative names"),
    "backslash": (lambda entries: [*entries, entry("a\\..\\b")], "plain relative names"),
    "folder": (lambda entries: [*entries, entry("folder/", b"", stat.S_IFDIR | 0o755)], "plain relative names"),
    "symlink": (lambda entries: [*entries, entry("link", b"/etc/passwd", stat.S_IFLNK | 0o777)], "link"),
    "device": (lambda entries: [*entries, entry("device", b"", stat.S_IFBLK | 0o600)], "link or a device"),
    "compressed": (lambda entries: [*entries, entry("bomb", b"0" * 10_000, compression=zipfile.ZIP_DEFLATED)], "compressed"),
    "too many": (lambda entries: [*entries, *[entry(f"file{number}") for number in range(300)]], "at most"),
}


@pytest.mark.parametrize("trick", TRICKS)
def test_the_tricks_of_zips_are_refused_and_nothing_is_left_behind(archive, tmp_path, trick):
    change, message = TRICKS[trick]
    rebuild(archive, change)
    with pytest.raises((PackageError, SizeError), match=message):
        extract_archive(archive, tmp_path / "inner" / "out")
    assert list((tmp_path / "inner").iterdir()) == []
    assert not (tmp_path / "outside").exists()


def test_an_unlisted_entry_is_refused_on_opening(archive, trusted, tmp_path):
    rebuild(archive, lambda entries: [*entries, entry("stowaway")])
    with pytest.raises(PackageError, match="stowaway"), opened(archive, trusted, tmp_path):
        pass


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_a_truncated_archive_is_refused(archive, tmp_path, share):
    data = archive.read_bytes()
    archive.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(PackageError, match="not a whole package"):
        extract_archive(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_any_changed_byte_of_an_archive_is_refused(archive, trusted, tmp_path):
    whole = archive.read_bytes()
    number = iter(range(10_000))

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, len(whole) - 1), st.integers(1, 255))
    def refuse(position, change):
        data = bytearray(whole)
        data[position] ^= change
        archive.write_bytes(data)
        try:
            with opened(archive, trusted, tmp_path) as package:
                content = {name: package.path_of(name).read_bytes() for name in FILES}
                assert content == FILES, "a change that matters was let through"
        except ContractError:
            pass
        assert not list(tmp_path.glob("eyelet-package-*")), next(number)

    refuse()


def test_an_existing_folder_is_never_written_into(archive, tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(PackageError, match="exists already"):
        extract_archive(archive, tmp_path / "out")


@pytest.mark.parametrize(
    ("harm", "error"),
    [
        (lambda folder: (folder / "model.onnx").write_bytes(b"NOT a real model"), DigestError),
        (lambda folder: (folder / "model.onnx").write_bytes(b"longer than it was before"), DigestError),
        (lambda folder: (folder / "model.onnx").unlink(), PackageError),
        (lambda folder: (folder / "more.txt").write_text("more"), PackageError),
        (lambda folder: (folder / "link").symlink_to("model.onnx"), PackageError),
        (lambda folder: (folder / "manifest.sig").unlink(), PackageError),
        (lambda folder: (folder / "manifest.json").unlink(), PackageError),
        (lambda folder: (folder / "manifest.sig").write_bytes(b"{}"), FormatError),
        (lambda folder: (folder / "manifest.json").write_bytes(b"{}"), SignatureError),
        (lambda folder: (folder / "manifest.json").write_bytes(b" " * (MANIFEST_MAX_BYTES + 1)), SizeError),
    ],
)
def test_a_tampered_folder_is_refused(folder, trusted, harm, error):
    harm(folder)
    with pytest.raises(error):
        open_package(folder, trusted)


def test_a_package_by_another_key_is_refused_with_both_named(folder):
    with pytest.raises(SignatureError, match="mine"):
        open_package(folder, {"mine": generate_key().public})
    with pytest.raises(SignatureError, match="trusted here: none"):
        open_package(folder, {})


def test_another_packages_signature_does_not_fit(folder, key, trusted, tmp_path):
    write_small_package(tmp_path / "two", key, version=2)
    shutil.copy(tmp_path / "two" / "manifest.sig", folder / "manifest.sig")
    with pytest.raises(SignatureError, match="other content"):
        open_package(folder, trusted)


def manifest_with(folder, **changes):
    import json

    return encode({**json.loads((folder / "manifest.json").read_bytes()), **changes})


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"schema_version": 9}, SchemaVersionError, "9.*up to 1"),
        ({"files": {}}, FormatError, "without listing"),
        ({"variants": {}}, FormatError, "no variant"),
        ({"name": "Digits!"}, FormatError, "name"),
        ({"version": 0}, FormatError, "version"),
        ({"files": {"../x": {"sha256": "0" * 64, "size_bytes": 1}}}, FormatError, "not valid"),
        ({"files": {f"f{n}": {"sha256": "0" * 64, "size_bytes": 1} for n in range(300)}}, SizeError, "300 files"),
        ({"files": {"f": {"sha256": "0" * 64, "size_bytes": 3 << 30}}}, SizeError, "bytes"),
        ({"files": {"manifest.json": {"sha256": "0" * 64, "size_bytes": 1}}}, FormatError, "can not be listed"),
        ({"files": {"f": {"sha256": "0" * 63, "size_bytes": 1}}}, FormatError, "not valid"),
    ],
)
def test_a_manifest_that_does_not_hold_together_is_refused(folder, changes, error, message):
    with pytest.raises(error, match=message):
        read_manifest(manifest_with(folder, **changes))


def test_an_unknown_field_of_a_manifest_survives_because_bytes_are_kept(folder, key, trusted):
    data = manifest_with(folder, novelty={"of": "tomorrow"})
    (folder / "manifest.json").write_bytes(data)
    (folder / "manifest.sig").write_bytes(sign_document(data, "application/vnd.eyelet.manifest+json", key))
    package = open_package(folder, trusted)
    assert b"tomorrow" in package.manifest_bytes
    assert package.digest == sha256_of(data)


def test_reading_stops_at_the_bound(tmp_path):
    (tmp_path / "large").write_bytes(b"x" * 11)
    assert read_bounded(tmp_path / "large", 11) == b"x" * 11
    with pytest.raises(SizeError, match="10"):
        read_bounded(tmp_path / "large", 10)
