"""Model packages: a folder or one reproducible `*.eyelet` zip, read with bounds and written all or nothing.

The digest of a package is the SHA-256 of its manifest's bytes, which name every other file.
"""

import contextlib
import io
import os
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from contract.codec import decode, encode, shorten
from contract.errors import DigestError, FormatError, PackageError, SizeError
from contract.files import CHUNK_BYTES, atomic_writer, check_file, read_bounded, sha256_of, sha256_of_file, sync_folder
from contract.manifest import MANIFEST_MAX_BYTES, MANIFEST_NAME, MANIFEST_PAYLOAD_TYPE, SIGNATURE_NAME, FileEntry, Manifest
from contract.names import is_file_name

if TYPE_CHECKING:
    from contract.signing import PrivateKey, PublicKey

PACKAGE_SUFFIX = ".eyelet"
PACKAGE_MAX_BYTES = 2 << 30
PACKAGE_MAX_FILES = 256
SIGNATURE_MAX_BYTES = 64 * 1024
_END_BYTES = 22  # of a zip's end record without comment
_LOCATOR_BYTES = 20  # of what stands before it in a zip of more than 4 GiB or 65,535 entries
_DIRECTORY_MAX_BYTES = 1 << 20
_FIXED_TIME = (1980, 1, 1, 0, 0, 0)


class Package(NamedTuple):
    """A package whose every file was checked; `digest` is the SHA-256 of the manifest."""

    folder: Path
    manifest: Manifest
    manifest_bytes: bytes
    digest: str
    signed_by: str  # name of the trusted key that signed, "" where signatures were not asked for

    def path_of(self, name: str) -> Path:
        """Path of a listed file."""
        return self.folder / name

    def variant_path(self, variant: str) -> Path:
        """Path of a variant's file."""
        return self.folder / self.manifest.variants[variant].file


def read_manifest(data: bytes) -> Manifest:
    """Parse a manifest and check that what it names is among its files.

    Raises:
        SizeError, SchemaVersionError, FormatError: see `contract.codec.decode`.
    """
    manifest = decode(data, Manifest, "the manifest", MANIFEST_MAX_BYTES)
    if len(manifest.files) > PACKAGE_MAX_FILES:
        raise SizeError(f"the manifest lists {len(manifest.files)} files, at most {PACKAGE_MAX_FILES} are accepted")
    total = sum(entry.size_bytes for entry in manifest.files.values())
    if total > PACKAGE_MAX_BYTES:
        raise SizeError(f"the manifest lists {total} bytes, at most {PACKAGE_MAX_BYTES} are accepted")
    reserved = {MANIFEST_NAME, SIGNATURE_NAME} & set(manifest.files)
    if reserved:
        raise FormatError(f"the manifest lists {sorted(reserved)}, which can not be listed")
    named = [variant.file for variant in manifest.variants.values()]
    named += [manifest.golden, manifest.reference, manifest.report, manifest.model_card]
    missing = sorted(set(named) - set(manifest.files))
    if missing:
        raise FormatError(f"the manifest names {missing} without listing their digests")
    if not manifest.variants:
        raise FormatError("the manifest has no variant")
    return manifest


def list_files(folder: Path, names: Iterable[str]) -> dict[str, FileEntry]:
    """Digest and length of each named file of `folder`, in the order of the names."""
    return {name: FileEntry(sha256_of_file(folder / name), (folder / name).stat().st_size) for name in sorted(names)}


def write_manifest(folder: Path, manifest: Manifest, key: "PrivateKey") -> str:
    """Write `manifest.json` and its signature into `folder`; returns the package digest."""
    from contract.signing import sign_document  # a worker, which only checks digests, loads no cryptography

    data = encode(manifest)
    read_manifest(data)
    with atomic_writer(folder / MANIFEST_NAME) as file:
        file.write(data)
    with atomic_writer(folder / SIGNATURE_NAME) as file:
        file.write(sign_document(data, MANIFEST_PAYLOAD_TYPE, key))
    return sha256_of(data)


def open_package(folder: Path, trusted: "Mapping[str, PublicKey] | None") -> Package:
    """Check a package folder completely: signature, then digests, then the list of files.

    `trusted` are the keys that may have signed, by name; None skips the signature, which only a
    caller may do that got the manifest's digest from TUF.

    Raises:
        PackageError: a file is missing, unlisted or no plain file.
        SignatureError, DigestError, SizeError, SchemaVersionError, FormatError: as they say.
    """
    if not (folder / MANIFEST_NAME).is_file():
        raise PackageError(f"{folder.name} is no package: it has no {MANIFEST_NAME}")
    data = read_bounded(folder / MANIFEST_NAME, MANIFEST_MAX_BYTES)
    signed_by = ""
    if trusted is not None:
        if not (folder / SIGNATURE_NAME).is_file():
            raise PackageError(f"{folder.name} has no {SIGNATURE_NAME}: it is not signed")
        from contract.signing import verify_document

        envelope = read_bounded(folder / SIGNATURE_NAME, SIGNATURE_MAX_BYTES)
        signed_by = verify_document(envelope, MANIFEST_PAYLOAD_TYPE, trusted, expected=data)
    manifest = read_manifest(data)
    _check_listing(folder, manifest, set(manifest.files))
    for name, entry in manifest.files.items():
        check_file(folder / name, entry.sha256, entry.size_bytes)
    return Package(folder, manifest, data, sha256_of(data), signed_by)


def open_installed_version(folder: Path, digest: str) -> Package:
    """Check a version as a device keeps it: only the variants that it loads, no report, no model card.

    The manifest must be the one with this digest, which whoever put it there had from TUF or from a
    signature; golden samples, the reference and at least one variant must be there; `variants` of
    the returned manifest are all of the version's, so look whether `variant_path` exists.

    Raises:
        PackageError, DigestError, SizeError, SchemaVersionError, FormatError: as they say.
    """
    if not (folder / MANIFEST_NAME).is_file():
        raise PackageError(f"{folder.name} is no installed version: it has no {MANIFEST_NAME}")
    data = read_bounded(folder / MANIFEST_NAME, MANIFEST_MAX_BYTES)
    if sha256_of(data) != digest:
        raise DigestError(f"the manifest in {folder.name[:20]} has SHA-256 {sha256_of(data)[:16]}…, expected {digest[:16]}…")
    manifest = read_manifest(data)
    present = _check_listing(folder, manifest, {manifest.golden, manifest.reference})
    if not present & {variant.file for variant in manifest.variants.values()}:
        raise PackageError(f"the version {manifest.name} {manifest.version} has none of its variants' files")
    for name in sorted(present & set(manifest.files)):
        check_file(folder / name, manifest.files[name].sha256, manifest.files[name].size_bytes)
    return Package(folder, manifest, data, digest, "")


def _check_listing(folder: Path, manifest: Manifest, needed: set[str]) -> set[str]:
    """Names of the files in `folder`, where all `needed` ones are and no unlisted one is."""
    present = set()
    for path in folder.rglob("*"):
        if path.is_symlink() or not (path.is_dir() or path.is_file()):
            raise PackageError(f"{path.name} is a link or a device; a package holds plain files only")
        if path.is_file():
            present.add(path.relative_to(folder).as_posix())
    missing = sorted((needed | {MANIFEST_NAME}) - present)
    if missing:
        raise PackageError(f"the package lacks {missing}: it is truncated")
    unlisted = sorted(present - set(manifest.files) - {MANIFEST_NAME, SIGNATURE_NAME})
    if unlisted:
        raise PackageError(f"the package holds {unlisted}, which its manifest does not list")
    return present


def write_archive(folder: Path, archive: Path) -> Path:
    """Pack a package folder into one `*.eyelet` zip: same content, same bytes.

    Names are sorted, times fixed, entries stored without compression (models hardly shrink, and a
    stored entry can not be a zip bomb).
    """
    manifest = read_manifest(read_bounded(folder / MANIFEST_NAME, MANIFEST_MAX_BYTES))
    return write_entries(archive, {name: folder / name for name in [*manifest.files, MANIFEST_NAME, SIGNATURE_NAME]})


def write_entries(archive: Path, entries: Mapping[str, Path | bytes]) -> Path:
    """Write a zip of stored entries, sorted by name, with fixed times."""
    with atomic_writer(archive) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as zipped:
        for name in sorted(entries):
            info, content = zipfile.ZipInfo(name, _FIXED_TIME), entries[name]
            info.create_system = 3
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            with (
                io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as source,
                zipped.open(info, "w", force_zip64=False) as target,
            ):
                shutil.copyfileobj(source, target, CHUNK_BYTES)
    return archive


def extract_archive(archive: Path, folder: Path) -> Path:
    """Unpack a `*.eyelet` zip into the new folder `folder`, all or nothing; check it afterwards with `open_package`.

    Raises:
        PackageError: not a zip, truncated, or with an entry that is compressed, encrypted, linked,
            duplicate, absolute or outside the folder.
        SizeError: larger than the bounds.
    """
    if folder.exists():
        raise PackageError(f"{folder} exists already; extract into a new folder")
    if archive.stat().st_size > PACKAGE_MAX_BYTES:
        raise SizeError(f"{archive.name} is larger than {PACKAGE_MAX_BYTES} bytes")
    check_end(archive)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".extract."))
    try:
        with zipfile.ZipFile(archive) as zipped:
            check_entries(zipped.infolist(), archive.stat().st_size)
            for info in zipped.infolist():
                _extract_entry(zipped, info, temporary)
        sync_folder(temporary)
        temporary.replace(folder)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise PackageError(f"{archive.name} is not a whole package: {shorten(error)}. Copy or fetch it again") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def check_end(archive: Path) -> None:
    """The end record of a zip must be the file's last bytes, and its directory of a size that can be read at once.

    `golden.npz` is a zip of its own: in an archive that was cut short, Python would find that one's
    end. A directory as large as the file would be millions of entries in memory before they are counted.
    """
    with archive.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _END_BYTES - _LOCATOR_BYTES))
        last = file.read(_END_BYTES + _LOCATOR_BYTES)
    end, locator = last[-_END_BYTES:], last[:-_END_BYTES]
    if not end.startswith(b"PK\x05\x06") or len(end) < _END_BYTES or end[-2:] != b"\0\0":
        raise PackageError(f"{archive.name} is not a whole package: its end is missing. Copy or fetch it again")
    directory_bytes = int.from_bytes(end[12:16], "little")
    if directory_bytes > _DIRECTORY_MAX_BYTES or locator.startswith(b"PK\x06\x07"):
        raise SizeError(f"the directory of {archive.name} is larger than the {_DIRECTORY_MAX_BYTES} bytes that are accepted")


def check_entries(entries: list[zipfile.ZipInfo], archive_bytes: int, max_entries: int = PACKAGE_MAX_FILES + 2) -> None:
    """Only stored plain files with plain relative names, each once, all within the archive.

    Raises:
        PackageError, SizeError: something else is there, or too much.
    """
    if len(entries) > max_entries:
        raise SizeError(f"the package has {len(entries)} entries, at most {max_entries} are accepted")
    seen: set[str] = set()
    for info in entries:
        if not is_file_name(info.filename) or info.filename != info.orig_filename:
            raise PackageError(f"the package has an entry named {info.orig_filename[:80]!r}; only plain relative names are accepted")
        if info.filename.lower() in seen:
            raise PackageError(f"the package has the entry {info.filename} twice")
        seen.add(info.filename.lower())
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in {0, stat.S_IFREG}:
            raise PackageError(f"{info.filename} is a link or a device; a package holds plain files only")
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 0x1 or info.file_size != info.compress_size:
            raise PackageError(f"{info.filename} is compressed or encrypted; entries of a package are stored as they are")
        if not 0 <= info.header_offset < archive_bytes:
            raise PackageError(f"{info.filename} lies outside the archive: its directory is broken")
        if info.file_size > archive_bytes:
            raise PackageError(f"{info.filename} claims {info.file_size} bytes, more than the whole archive has")


def _extract_entry(zipped: zipfile.ZipFile, info: zipfile.ZipInfo, folder: Path) -> None:
    target = folder / info.filename
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with zipped.open(info) as source, target.open("xb") as file:
            shutil.copyfileobj(source, file, CHUNK_BYTES)
            file.flush()
            os.fsync(file.fileno())
    except (FileExistsError, IsADirectoryError, NotADirectoryError) as error:
        raise PackageError(f"the package has {info.filename} as a file and as a folder") from error
    if target.stat().st_size != info.file_size:
        raise DigestError(f"{info.filename} is shorter than it claims")


@contextlib.contextmanager
def opened(path: Path, trusted: "Mapping[str, PublicKey] | None", scratch: Path | None = None) -> Iterator[Package]:
    """Open a package given as folder or as `*.eyelet` file; yields a `Package` that lives as long as the block."""
    if path.is_dir():
        yield open_package(path, trusted)
        return
    if not path.is_file():
        raise PackageError(f"{path} does not exist")
    with tempfile.TemporaryDirectory(dir=scratch, prefix="eyelet-package-") as name:
        yield open_package(extract_archive(path, Path(name) / "package"), trusted)
