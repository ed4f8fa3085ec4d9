"""One refresh of the TUF client, as a process of its own so that its memory goes back: `python -m edge_agent.update.tuf_child`.

Request on stdin and answer on stdout are one JSON document each. The targets that Eyelet signs are
small documents; each that is wanted is stored under its digest once TUF vouches for it.
"""

import contextlib
import errno
import logging
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import urllib3
from tuf.api.exceptions import (
    DownloadError,
    DownloadHTTPError,
    DownloadLengthMismatchError,
    ExpiredMetadataError,
    RepositoryError,
    SlowRetrievalError,
)
from tuf.ngclient import Updater, UpdaterConfig
from tuf.ngclient.fetcher import FetcherInterface

from contract.bundle import Bundle, opened_bundle
from contract.codec import DOCUMENT_MAX_BYTES, shorten, utc_now
from contract.errors import ContractError
from contract.files import read_bounded, sha256_of
from contract.manifest import FileEntry
from edge_agent.http_client import BROKEN, HttpError, ServerHttp, describe
from edge_agent.update.disk import REAL_DISK, replace_content
from edge_agent.update.tuf_messages import NO_SPACE, REFUSED, UNREACHABLE, UNTRUSTED, TufAnswer, TufRequest
from edge_agent.worker.child_identity import confine
from edge_agent.worker.child_processes import end_with_parent

_PIECE_BYTES = 64 * 1024
_NOT_FOUND = 404
BUNDLE_URL = "bundle:///"


def _pieces(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    try:
        yield from response.stream(_PIECE_BYTES)
    except BROKEN as error:
        raise DownloadError(f"the answer broke off: {shorten(error)}") from error


class DeviceFetcher(FetcherInterface):
    """Fetches with the device's credentials and the pinned CA."""

    def __init__(self, http: ServerHttp) -> None:
        self._http = http

    def _fetch(self, url: str) -> Iterator[bytes]:
        try:
            response = self._http.open(url.removeprefix(self._http.url))
        except HttpError as error:
            raise DownloadError(str(error)) from error
        if response.status >= 300:  # noqa: PLR2004
            with response:
                raise DownloadHTTPError(f"{url.removeprefix(self._http.url)}: {describe(response)}", response.status)
        return _pieces(response)


class BundleFetcher(FetcherInterface):
    """Reads metadata and targets from an open bundle; a target lies there under its digest."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle

    def _fetch(self, url: str) -> Iterator[bytes]:
        folder, _, name = url.removeprefix(BUNDLE_URL).partition("/")
        bundle, digest = self._bundle, name.rpartition("/")[2].partition(".")[0]
        if folder == "metadata" and bundle.metadata_size(name) is not None:
            return bundle.metadata(name)
        if folder == "targets" and bundle.artifact_size(digest) is not None:
            return bundle.artifact(digest)
        raise DownloadHTTPError(f"the bundle has no {name[:100]}", _NOT_FOUND)


@contextlib.contextmanager
def _opened(request: TufRequest) -> Iterator[tuple[str, FetcherInterface]]:
    """Where the repository is, and what fetches from it."""
    if request.bundle_file:
        with opened_bundle(Path(request.bundle_file)) as bundle:
            yield BUNDLE_URL, BundleFetcher(bundle)
        return
    password = read_bounded(Path(request.password_file), 1024).decode()
    ca_file = Path(request.ca_file) if request.ca_file else None
    http = ServerHttp(request.server_url, credentials=(request.device, password), ca_file=ca_file)
    try:
        yield f"{http.url}/v1/tuf/", DeviceFetcher(http)
    finally:
        http.close()


def refresh(request: TufRequest) -> TufAnswer:
    """Refresh the metadata, look the targets up and store their documents."""
    try:
        with _opened(request) as (base, fetcher):
            updater = Updater(
                request.metadata_folder,
                f"{base}metadata/",
                target_base_url=f"{base}targets/",
                fetcher=fetcher,
                config=UpdaterConfig(max_root_rotations=256, max_delegations=64),
                bootstrap=read_bounded(Path(request.root_file), DOCUMENT_MAX_BYTES),
            )
            updater.refresh()
            return TufAnswer({path: _store(updater, path, Path(request.objects_folder)) for path in request.targets})
    except ContractError as error:
        return TufAnswer(error=str(error), kind=UNTRUSTED)
    except (RepositoryError, DownloadLengthMismatchError) as error:
        clock = f" (by the clock of this device, {utc_now()[:10]})" if isinstance(error, ExpiredMetadataError) else ""
        return TufAnswer(error=f"the repository is not to be trusted: {error}{clock}", kind=UNTRUSTED)
    except DownloadHTTPError as error:
        refused = error.status_code in {401, 403, 410}
        return TufAnswer(error=f"the repository answers {error}", kind=REFUSED if refused else UNREACHABLE)
    except (DownloadError, SlowRetrievalError, HttpError) as error:
        return TufAnswer(error=f"the repository can not be reached: {error.__cause__ or error}", kind=UNREACHABLE)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return TufAnswer(error=f"the repository's documents can not be kept: {error}", kind=NO_SPACE)


def _store(updater: Updater, path: str, objects: Path) -> FileEntry | None:
    info = updater.get_targetinfo(path)
    if info is None:
        return None
    if info.length > DOCUMENT_MAX_BYTES:
        raise RepositoryError(f"target {path} has {info.length} bytes, at most {DOCUMENT_MAX_BYTES} are accepted for a document")
    wanted = info.hashes.get("sha256", "")
    if wanted and updater.find_cached_target(info, str(objects / wanted)):
        return FileEntry(wanted, info.length)
    with tempfile.TemporaryDirectory(dir=objects, prefix=".tuf.") as scratch:
        file = Path(updater.download_target(info, str(Path(scratch) / "target")))
        data = read_bounded(file, DOCUMENT_MAX_BYTES)
    digest = sha256_of(data)
    replace_content(REAL_DISK, objects / digest, data)
    return FileEntry(digest, info.length)


def main() -> int:
    """Read the request, refresh, write the answer."""
    end_with_parent()
    confine()
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    request = msgspec.json.decode(sys.stdin.buffer.read(DOCUMENT_MAX_BYTES), type=TufRequest)
    sys.stdout.buffer.write(msgspec.json.encode(refresh(request)) + b"\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
