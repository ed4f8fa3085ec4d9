"""Bundles: one published version with the TUF metadata that vouch for it, in a file for a USB stick.

What goes in is collected by a TUF client that starts from the first root, as a device does: a
bundle that a device would refuse is not made. Sources are a fleet server, a folder that was
published into, or, where there is neither, the studio's own online roles.
"""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec
from tuf.api.exceptions import DownloadError, DownloadHTTPError, RepositoryError
from tuf.ngclient import Updater, UpdaterConfig
from tuf.ngclient.fetcher import FetcherInterface

from contract.acceptance import AcceptanceSet
from contract.application import Application
from contract.bundle import FIRST_ROOT, BundleIndex, write_bundle
from contract.codec import DOCUMENT_MAX_BYTES, decode
from contract.errors import ContractError
from contract.files import check_file, read_bounded, sha256_of
from contract.manifest import FileEntry
from contract.messages import DesiredApplication
from contract.package import Package
from contract.trust import acceptance_target, application_target, manifest_target, policy_target
from desktop_app.errors import ReleaseError
from desktop_app.release.role_files import ROLE_MAX_BYTES
from desktop_app.release.server_client import ServerClient

_URL = "studio:///"
_NOT_FOUND = 404
_ROOTS_MAX = 256


class BundleSource(Protocol):
    """Where published metadata and files are."""

    def find_metadata(self, name: str) -> bytes | None:
        """A TUF file by the name under which a client asks for it."""

    def find_artifact(self, sha256: str) -> bytes | Path | None:
        """A file by its digest."""


class FolderSource:
    """A folder that was published into."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find_metadata(self, name: str) -> bytes | None:
        """See `BundleSource`."""
        path = self._folder / "metadata" / name
        return read_bounded(path, ROLE_MAX_BYTES) if path.is_file() else None

    def find_artifact(self, sha256: str) -> bytes | Path | None:
        """See `BundleSource`."""
        path = self._folder / "artifacts" / sha256
        return path if path.is_file() else None


class ServerSource:
    """A fleet server."""

    def __init__(self, client: ServerClient) -> None:
        self._client = client

    def find_metadata(self, name: str) -> bytes | None:
        """See `BundleSource`."""
        return self._client.fetch_metadata(name)

    def find_artifact(self, sha256: str) -> bytes | Path | None:
        """See `BundleSource`."""
        return self._client.fetch_artifact(sha256)


class BundleResult(msgspec.Struct, frozen=True):
    """What was bundled; `root_sha256` is what a device without a fleet pins."""

    file: str
    name: str
    version: int
    size_bytes: int
    root_sha256: str
    expires_at: str
    application: str = ""


class _Client(FetcherInterface):
    """A TUF client of a source, which keeps every metadata file that it was given."""

    def __init__(self, source: BundleSource, folder: Path) -> None:
        self._source = source
        root = source.find_metadata(FIRST_ROOT)
        if root is None:
            raise ReleaseError("nothing was published there yet", "Publish the package first: eyelet-studio publish")
        self.metadata = {FIRST_ROOT: root}
        self.updater = Updater(
            str(folder),
            f"{_URL}metadata/",
            target_base_url=f"{_URL}targets/",
            fetcher=self,
            config=UpdaterConfig(max_root_rotations=_ROOTS_MAX),
            bootstrap=root,
        )
        self.updater.refresh()

    def _fetch(self, url: str) -> Iterator[bytes]:
        folder, _, name = url.removeprefix(_URL).partition("/")
        data = self._source.find_metadata(name) if folder == "metadata" else self._document(name)
        if data is None:
            raise DownloadHTTPError(f"{name} is not there", _NOT_FOUND)
        if folder == "metadata":
            self.metadata[name] = data
        return iter([data])

    def _document(self, name: str) -> bytes | None:
        found = self._source.find_artifact(name.rpartition("/")[2].partition(".")[0])
        return read_bounded(found, DOCUMENT_MAX_BYTES) if isinstance(found, Path) else found

    def find_target(self, path: str) -> bytes | None:
        """A target's document, verified; None where nobody vouches for one."""
        info = self.updater.get_targetinfo(path)
        if info is None:
            return None
        with tempfile.TemporaryDirectory() as folder:
            return read_bounded(Path(self.updater.download_target(info, str(Path(folder) / "target"))), DOCUMENT_MAX_BYTES)


class _Contents(NamedTuple):
    metadata: dict[str, bytes]
    artifacts: dict[str, Path | bytes]


def bundle_version(source: BundleSource, package: Package, file: Path, application: bytes | None = None) -> BundleResult:
    """Write the bundle of a published version, with an application that is published as well.

    Raises:
        ReleaseError: it is not published there, or a device would refuse what is.
        ServerError: the server can not be reached.
    """
    manifest = package.manifest
    wanted = _wish(application, manifest.name)
    try:
        contents = _collect(source, package, (wanted, application))
        index = BundleIndex(
            BundleIndex.SCHEMA_VERSION, manifest.name, manifest.version, FileEntry(package.digest, len(package.manifest_bytes)), wanted
        )
        write_bundle(file, index, contents.metadata, contents.artifacts)
    except (RepositoryError, DownloadError, ContractError) as error:
        raise ReleaseError(f"{manifest.name} {manifest.version} can not be bundled: {error}") from error
    return BundleResult(
        file=str(file),
        name=manifest.name,
        version=manifest.version,
        size_bytes=file.stat().st_size,
        root_sha256=sha256_of(contents.metadata[FIRST_ROOT]),
        expires_at=first_expiry(contents.metadata),
        application=wanted.name if wanted is not None else "",
    )


def _wish(application: bytes | None, model: str) -> DesiredApplication | None:
    if application is None:
        return None
    view = decode(application, Application, "the application")
    if view.model != model:
        raise ReleaseError(f"the application {view.name} is made for the model {view.model}, the package is of {model}")
    return DesiredApplication(view.name, view.version, FileEntry(sha256_of(application), len(application)))


def _collect(source: BundleSource, package: Package, wish: tuple[DesiredApplication | None, bytes | None]) -> _Contents:
    manifest, (wanted, application) = package.manifest, wish
    artifacts: dict[str, Path | bytes] = {}
    with tempfile.TemporaryDirectory(prefix="eyelet-bundle-") as folder:
        client = _Client(source, Path(folder))
        documents: dict[str, tuple[bytes | None, bytes | None]] = {
            f"version {manifest.version}": (client.find_target(manifest_target(manifest.name, manifest.version)), package.manifest_bytes),
        }
        if wanted is not None:
            documents[f"application {wanted.name}"] = (client.find_target(application_target(wanted.name, wanted.version)), application)
        for what, (found, expected) in documents.items():
            if found is None or found != expected:
                state = "is not published there" if found is None else "was published there with other content"
                raise ReleaseError(f"the {what} {state}", "Publish it first: eyelet-studio publish, or application")
            artifacts[sha256_of(found)] = found
        policy, acceptance = client.find_target(policy_target(manifest.name)), client.find_target(acceptance_target(manifest.name))
    artifacts |= {sha256_of(document): document for document in (policy, acceptance) if document is not None}
    artifacts |= _files(package)
    if acceptance is not None:
        artifacts |= _samples(source, decode(acceptance, AcceptanceSet, "the acceptance set").samples)
    return _Contents(client.metadata, artifacts)


def _files(package: Package) -> dict[str, Path | bytes]:
    """What devices need of a package: not the report, not the model card."""
    manifest = package.manifest
    names = {manifest.golden, manifest.reference, *(variant.file for variant in manifest.variants.values())}
    return {manifest.files[name].sha256: package.path_of(name) for name in names}


def _samples(source: BundleSource, entry: FileEntry) -> dict[str, Path | bytes]:
    found = source.find_artifact(entry.sha256)
    if isinstance(found, Path):
        check_file(found, entry.sha256, entry.size_bytes)
    if found is None or (isinstance(found, bytes) and sha256_of(found) != entry.sha256):
        raise ReleaseError("the acceptance set's samples are not there, or damaged", "Publish the package again")
    return {entry.sha256: found}


def first_expiry(metadata: dict[str, bytes]) -> str:
    """The moment from which on devices refuse a bundle: its newest root, and every other role, must hold."""
    newest = max((name for name in metadata if name.endswith(".root.json")), key=lambda name: int(name.partition(".")[0]))
    counted = [data for name, data in metadata.items() if name == newest or not name.endswith(".root.json")]
    return min(str(msgspec.json.decode(data)["signed"]["expires"]) for data in counted)


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder to publish into where there is neither server nor folder."""
    with tempfile.TemporaryDirectory(prefix="eyelet-bundle-") as name:
        yield Path(name)
