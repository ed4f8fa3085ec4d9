"""Downloads against a real HTTP server that breaks off, lies and refuses."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from contract.files import sha256_of, sha256_of_file
from contract.manifest import FileEntry
from edge_agent.http_client import ServerHttp
from edge_agent.update.downloads import DownloadCancelledError, DownloadError, Patience, WrongContentError, fetch_object
from tests.simulators.artifact_server import ArtifactServer
from tests.simulators.tuf_folder import TufFolder

DATA = bytes(range(256)) * 2000
ENTRY = FileEntry(sha256_of(DATA), len(DATA))
QUICK = Patience(total_s=30, first_s=0.005, last_s=0.02)
SHORT = Patience(total_s=0.3, first_s=0.005, last_s=0.02)
Fetch = Callable[..., Path]


@pytest.fixture(scope="module")
def tuf(tmp_path_factory: pytest.TempPathFactory) -> TufFolder:
    return TufFolder(tmp_path_factory.mktemp("tuf") / "tuf")


@pytest.fixture
def server(tmp_path: Path, tuf: TufFolder) -> Iterator[ArtifactServer]:
    (tmp_path / "server").mkdir()
    server = ArtifactServer(tmp_path / "server", tuf, lambda _: None)
    server.passwords["pi-01"] = "secret"
    (server.artifacts / ENTRY.sha256).write_bytes(DATA)
    yield server
    server.close()


@pytest.fixture
def fetch(server: ArtifactServer, tmp_path: Path) -> Iterator[Fetch]:
    http = ServerHttp(server.url, credentials=("pi-01", "secret"))

    def run(entry: FileEntry = ENTRY, patience: Patience = QUICK, cancelled: threading.Event | None = None) -> Path:
        return fetch_object(http, entry, tmp_path / "objects", cancelled=cancelled or threading.Event(), patience=patience)

    yield run
    http.close()


def partial(tmp_path: Path) -> Path:
    return tmp_path / "objects" / ".partial" / ENTRY.sha256


def test_a_file_becomes_an_object_once_it_is_whole(fetch: Fetch, tmp_path: Path) -> None:
    path = fetch()
    assert path == tmp_path / "objects" / ENTRY.sha256
    assert sha256_of_file(path) == ENTRY.sha256
    assert not partial(tmp_path).exists()


def test_an_empty_file_too(fetch: Fetch) -> None:
    assert fetch(FileEntry(sha256_of(b""), 0)).read_bytes() == b""


def test_a_download_that_breaks_off_goes_on_where_it_was(server: ArtifactServer, fetch: Fetch) -> None:
    server.cut_after = [100_000, 50_000, 0, 200_000]
    assert fetch().read_bytes() == DATA
    assert len(server.requests) == 5


def test_a_download_goes_on_after_the_agent_was_killed(server: ArtifactServer, fetch: Fetch, tmp_path: Path) -> None:
    partial(tmp_path).parent.mkdir(parents=True)
    partial(tmp_path).write_bytes(DATA[:300_000])
    server.cut_after = [len(DATA) - 300_000]
    assert fetch().read_bytes() == DATA


def test_a_server_that_ignores_ranges_is_understood(server: ArtifactServer, fetch: Fetch, tmp_path: Path) -> None:
    server.ignore_range = True
    partial(tmp_path).parent.mkdir(parents=True)
    partial(tmp_path).write_bytes(DATA[:1000])
    assert fetch().read_bytes() == DATA


def test_a_rest_with_wrong_bytes_is_noticed_and_fetched_anew(fetch: Fetch, tmp_path: Path) -> None:
    partial(tmp_path).parent.mkdir(parents=True)
    partial(tmp_path).write_bytes(b"x" * 1000)
    assert fetch().read_bytes() == DATA


def test_a_rest_that_is_too_long_is_thrown_away(fetch: Fetch, tmp_path: Path) -> None:
    partial(tmp_path).parent.mkdir(parents=True)
    partial(tmp_path).write_bytes(DATA + b"x")
    assert fetch().read_bytes() == DATA


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refusal_is_final(server: ArtifactServer, fetch: Fetch, status: int) -> None:
    server.statuses = [status]
    with pytest.raises(DownloadError, match=str(status)):
        fetch()
    assert len(server.requests) == 1


def test_an_artifact_that_is_not_there_does_not_loop(server: ArtifactServer, fetch: Fetch) -> None:
    with pytest.raises(DownloadError, match="404: no such artifact"):
        fetch(FileEntry("0" * 64, 10))
    assert len(server.requests) == 1


def test_a_server_in_trouble_is_tried_again(server: ArtifactServer, fetch: Fetch) -> None:
    server.statuses = [500, 503, 429, 408]
    assert fetch().read_bytes() == DATA


def test_a_server_that_is_away_is_given_up_after_a_while(server: ArtifactServer, fetch: Fetch) -> None:
    server.close()
    with pytest.raises(DownloadError, match="could not be fetched for"):
        fetch(patience=SHORT)


def test_after_any_number_of_tries_there_is_a_pause() -> None:
    assert all(0.5 * QUICK.last_s <= QUICK.delay_s(tries) <= QUICK.last_s for tries in (20, 1023, 1024, 1_000_000))


def test_a_server_that_comes_back_is_waited_for(server: ArtifactServer, fetch: Fetch) -> None:
    server.close()
    timer = threading.Timer(0.1, server.open)
    timer.start()
    assert fetch(patience=Patience(10, 0.02, 0.05)).read_bytes() == DATA
    timer.join()


def test_other_content_of_the_same_length_is_refused(server: ArtifactServer, fetch: Fetch, tmp_path: Path) -> None:
    server.wrong_content = {ENTRY.sha256}
    with pytest.raises(WrongContentError, match="other content"):
        fetch()
    assert not (tmp_path / "objects" / ENTRY.sha256).exists()


def test_an_answer_of_another_length_is_not_taken(server: ArtifactServer, fetch: Fetch, tmp_path: Path) -> None:
    (server.artifacts / ENTRY.sha256).write_bytes(DATA * 50)
    with pytest.raises(DownloadError, match="a file of 25600000 bytes, it must have 512000"):
        fetch(patience=SHORT)
    assert not partial(tmp_path).exists()


def test_the_rest_of_a_file_of_another_length_is_not_taken(server: ArtifactServer, fetch: Fetch, tmp_path: Path) -> None:
    partial(tmp_path).parent.mkdir(parents=True)
    partial(tmp_path).write_bytes(DATA[:500])
    server.wrong_length = 7
    with pytest.raises(DownloadError, match="a file of 512007 bytes, it must have 512000"):
        fetch(patience=SHORT)
    assert partial(tmp_path).read_bytes() == DATA[:500]


def test_a_file_that_changed_on_the_server_is_fetched_from_the_beginning(server: ArtifactServer, fetch: Fetch) -> None:
    server.etags, server.cut_after = ['"one"', '"two"'], [100_000]
    assert fetch().read_bytes() == DATA
    assert server.ranges == ["", "bytes=100000-"], "If-Range let the server begin anew by itself"


def test_an_answer_without_end_is_read_no_further_than_promised(server: ArtifactServer, fetch: Fetch) -> None:
    server.endless = True
    assert fetch().read_bytes() == DATA
    (server.artifacts / ("0" * 64)).write_bytes(DATA)
    with pytest.raises(WrongContentError):
        fetch(FileEntry("0" * 64, 10))


def test_a_cancelled_download_ends_and_keeps_what_it_has(server: ArtifactServer, fetch: Fetch, tmp_path: Path) -> None:
    server.cut_after = [100_000]
    cancelled = threading.Event()
    timer = threading.Timer(0.1, cancelled.set)
    timer.start()
    with pytest.raises(DownloadCancelledError):
        fetch(patience=Patience(60, 10, 10), cancelled=cancelled)
    assert partial(tmp_path).read_bytes() == DATA[:100_000]
    timer.join()
