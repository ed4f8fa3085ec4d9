"""Bundles: what a device needs to install one version without a network, in one file for a USB stick.

A zip of stored entries: `bundle.json` (which version it is about; nobody signs it), `metadata/` (the
TUF files as a server would serve them), `artifacts/<sha256>` (targets and files). The TUF metadata
vouch for everything; the zip itself is transport.
"""

import contextlib
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import msgspec

from contract.codec import DOCUMENT_MAX_BYTES, decode, encode, shorten
from contract.errors import PackageError, SizeError
from contract.files import CHUNK_BYTES
from contract.manifest import FileEntry, Id, VersionNumber
from contract.messages import DesiredApplication, DesiredModel
from contract.names import is_file_name
from contract.package import PACKAGE_MAX_BYTES, check_end, check_entries, write_entries

BUNDLE_SUFFIX = ".eyelet-bundle"
INDEX_NAME = "bundle.json"
FIRST_ROOT = "1.root.json"
ENTRIES_MAX = 1024
_METADATA, _ARTIFACTS = "metadata/", "artifacts/"


class BundleIndex(msgspec.Struct, frozen=True, omit_defaults=True):
    """`bundle.json`: the version, and perhaps the application, that the bundle is about."""

    SCHEMA_VERSION: ClassVar[int] = 1

    schema_version: int
    model: Id
    version: VersionNumber
    manifest: FileEntry
    application: DesiredApplication | None = None

    def as_wish(self, *, force: bool = False) -> DesiredModel:
        """The model as a wish names it."""
        return DesiredModel(self.model, self.version, self.manifest, force=force)


def write_bundle(path: Path, index: BundleIndex, metadata: Mapping[str, bytes], artifacts: Mapping[str, Path | bytes]) -> Path:
    """Write a bundle, all or nothing; the same content gives the same bytes.

    Raises:
        SizeError: it would have more entries or bytes than a device accepts.
    """
    entries: dict[str, Path | bytes] = {INDEX_NAME: encode(index)}
    entries |= {_METADATA + name: data for name, data in metadata.items()}
    entries |= {_ARTIFACTS + sha256: content for sha256, content in artifacts.items()}
    total = sum(content.stat().st_size if isinstance(content, Path) else len(content) for content in entries.values())
    if len(entries) > ENTRIES_MAX or total > PACKAGE_MAX_BYTES:
        raise SizeError(
            f"the bundle would have {len(entries)} files and {total} bytes, at most {ENTRIES_MAX} and {PACKAGE_MAX_BYTES} are accepted"
        )
    return write_entries(path, entries)


class Bundle:
    """An open bundle whose entries were checked; their content was not."""

    def __init__(self, zipped: zipfile.ZipFile, index: BundleIndex) -> None:
        self._zipped = zipped
        self._sizes = {info.filename: info.file_size for info in zipped.infolist()}
        self.index = index

    def metadata_size(self, name: str) -> int | None:
        """Length of a TUF file; None where the bundle lacks it."""
        return self._sizes.get(_METADATA + name)

    def metadata(self, name: str) -> Iterator[bytes]:
        """A TUF file in pieces."""
        return self._pieces(_METADATA + name)

    def artifact_size(self, sha256: str) -> int | None:
        """Length of a file; None where the bundle lacks it."""
        return self._sizes.get(_ARTIFACTS + sha256)

    def artifact(self, sha256: str) -> Iterator[bytes]:
        """A file in pieces.

        Raises:
            PackageError: it is damaged.
        """
        return self._pieces(_ARTIFACTS + sha256)

    def _pieces(self, name: str) -> Iterator[bytes]:
        with _broken_in_words(), self._zipped.open(name) as file:
            while piece := file.read(CHUNK_BYTES):
                yield piece


@contextlib.contextmanager
def opened_bundle(path: Path) -> Iterator[Bundle]:
    """Open a bundle: bounds and entries are checked, then its index is parsed.

    Raises:
        PackageError, SizeError, FormatError, SchemaVersionError: it is no bundle, or a broken one.
        OSError: it can not be read.
    """
    size = path.stat().st_size
    if size > PACKAGE_MAX_BYTES + DOCUMENT_MAX_BYTES:
        raise SizeError(f"{path.name[:80]} is larger than {PACKAGE_MAX_BYTES} bytes")
    check_end(path)
    with contextlib.ExitStack() as stack:
        with _broken_in_words():
            zipped = stack.enter_context(zipfile.ZipFile(path))
            check_entries(zipped.infolist(), size, ENTRIES_MAX)
            index = _read_index(zipped)
        yield Bundle(zipped, index)


def _read_index(zipped: zipfile.ZipFile) -> BundleIndex:
    if INDEX_NAME not in zipped.namelist():
        raise PackageError(f"the file is no bundle: it has no {INDEX_NAME}. Make one with `eyelet-studio bundle`")
    with zipped.open(INDEX_NAME) as file:
        return decode(file.read(DOCUMENT_MAX_BYTES + 1), BundleIndex, "the bundle's index")


@contextlib.contextmanager
def _broken_in_words() -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError, KeyError) as error:
        raise PackageError(f"the bundle is broken: {shorten(error)}. Copy it again") from error


def is_bundle_name(name: str) -> bool:
    """Whether a file's name says that it is a bundle: plain, without folders."""
    return name.endswith(BUNDLE_SUFFIX) and is_file_name(name) and "/" not in name


def read_index(path: Path) -> BundleIndex:
    """The index of a bundle; raises as `opened_bundle`."""
    with opened_bundle(path) as bundle:
        return bundle.index
