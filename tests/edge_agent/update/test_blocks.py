"""Downloads with a list of block digests: only what is damaged is fetched again, and the list itself is not believed."""

import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.blocks import BLOCK_BYTES, BLOCK_LEAST_BYTES, BlockList, block_list_of
from contract.files import sha256_of
from contract.manifest import FileEntry
from edge_agent.http_client import ServerHttp
from edge_agent.update.block_check import BLOCK_TRIES, BlockCheck, WrongBlockError
from edge_agent.update.downloads import Patience, WrongContentError, fetch_object
from tests.simulators.artifact_server import ArtifactServer
from tests.simulators.disk import PowerCut, SimulatedDisk, cut_at
from tests.simulators.tuf_folder import TufFolder

BLOCK = BLOCK_LEAST_BYTES
DATA = bytes(range(251)) * (BLOCK_BYTES // 251 + 1000)
ENTRY = FileEntry(sha256_of(DATA), len(DATA))
Fetch = Callable[[], Path]


@pytest.fixture(scope="module")
def tuf(tmp_path_factory: pytest.TempPathFactory) -> TufFolder:
    return TufFolder(tmp_path_factory.mktemp("tuf") / "tuf")


@pytest.fixture
def server(tmp_path: Path, tuf: TufFolder) -> Iterator[ArtifactServer]:
    (tmp_path / "server").mkdir()
    server = ArtifactServer(tmp_path / "server", tuf, lambda _: None)
    server.passwords["pi-01"] = "secret"
    server.block_bytes = BLOCK
    (server.artifacts / ENTRY.sha256).write_bytes(DATA)
    yield server
    server.close()


@pytest.fixture
def fetch(server: ArtifactServer, tmp_path: Path) -> Iterator[Fetch]:
    http = ServerHttp(server.url, credentials=("pi-01", "secret"))
    yield lambda: fetch_object(http, ENTRY, tmp_path / "objects", cancelled=threading.Event(), patience=Patience(30, 0.005, 0.02))
    http.close()


def leave_partial(tmp_path: Path, data: bytes) -> None:
    folder = tmp_path / "objects" / ".partial"
    folder.mkdir(parents=True)
    (folder / ENTRY.sha256).write_bytes(data)


def test_one_wrong_block_is_fetched_again_alone(server: ArtifactServer, fetch: Fetch) -> None:
    server.damage = {5 * BLOCK + 17: 1}
    assert fetch().read_bytes() == DATA
    assert server.ranges == ["", f"bytes={5 * BLOCK}-"]


def test_two_wrong_blocks_are_each_fetched_again(server: ArtifactServer, fetch: Fetch) -> None:
    server.damage = {2 * BLOCK: 2, len(DATA) - 1: 3}
    assert fetch().read_bytes() == DATA
    assert set(server.ranges) == {"", f"bytes={2 * BLOCK}-", f"bytes={len(DATA) - len(DATA) % BLOCK}-"}


def test_a_rest_from_before_a_restart_is_kept_up_to_its_first_damaged_block(server: ArtifactServer, fetch: Fetch, tmp_path: Path) -> None:
    leave_partial(tmp_path, DATA[: 3 * BLOCK + 9] + bytes(4 * BLOCK))
    assert fetch().read_bytes() == DATA
    assert server.ranges == [f"bytes={3 * BLOCK}-"]


def test_a_sound_rest_goes_on_in_the_middle_of_a_block(server: ArtifactServer, fetch: Fetch, tmp_path: Path) -> None:
    leave_partial(tmp_path, DATA[: 3 * BLOCK + 9])
    assert fetch().read_bytes() == DATA
    assert server.ranges == [f"bytes={3 * BLOCK + 9}-"]


def test_a_block_that_stays_wrong_ends_in_a_refusal(server: ArtifactServer, fetch: Fetch) -> None:
    server.damage = {BLOCK + 1: 1000}
    with pytest.raises(WrongContentError):
        fetch()
    assert len(server.ranges) <= BLOCK_TRIES + 2, "it must not loop"


def test_a_list_that_lies_costs_a_repetition_and_nothing_else(
    server: ArtifactServer, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    lie = BlockList(BLOCK, ("0" * 64,) * len(block_list_of(server.artifacts / ENTRY.sha256, BLOCK).sha256))
    monkeypatch.setattr("tests.simulators.artifact_server.block_list_of", lambda *_: lie)
    assert fetch().read_bytes() == DATA
    assert server.ranges == [""] * (BLOCK_TRIES + 1)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"block_bytes":1,"sha256":[]}', b'{"block_bytes":65536,"sha256":["xyz"]}', b'{"block_bytes":65536,"sha256":[]}']
)
def test_a_list_that_is_none_is_ignored(server: ArtifactServer, fetch: Fetch, monkeypatch: pytest.MonkeyPatch, body: bytes) -> None:
    monkeypatch.setattr("tests.simulators.artifact_server.block_list_of", lambda *_: msgspec.Raw(body or b'""'))
    assert fetch().read_bytes() == DATA


def test_a_server_without_lists_is_asked_once(server: ArtifactServer, fetch: Fetch) -> None:
    server.block_bytes, server.cut_after = 0, [1000, 1000]
    assert fetch().read_bytes() == DATA
    assert sum(path.endswith("/blocks") for path in server.requests) == 1


def test_the_power_may_go_at_every_step(server: ArtifactServer, tmp_path: Path) -> None:
    """With a damaged block on the way: the object is absent or right after each cut, and the next start makes it."""
    http = ServerHttp(server.url, credentials=("pi-01", "secret"))
    quick = Patience(30, 0.001, 0.002)
    for step in range(1, 100):
        server.damage = {3 * BLOCK: 1}
        folder = tmp_path / f"cut-{step}"
        folder.mkdir()
        disk = SimulatedDisk(folder, cut_at(step))
        try:
            fetch_object(http, ENTRY, folder / "objects", cancelled=threading.Event(), patience=quick, disk=disk)
        except PowerCut:
            disk.lose_power(random.Random(step))
            path = folder / "objects" / ENTRY.sha256
            assert not path.exists() or path.read_bytes() == DATA
            if not path.exists():
                fetch_object(http, ENTRY, folder / "objects", cancelled=threading.Event(), patience=quick)
            assert path.read_bytes() == DATA
        else:
            assert step > 10
            http.close()
            return
    raise AssertionError("it never ended")


@given(
    size=st.integers(0, 5 * BLOCK_LEAST_BYTES),
    cuts=st.lists(st.integers(1, 2 * BLOCK_LEAST_BYTES), max_size=8),
    wrong=st.one_of(st.none(), st.integers(0, 5 * BLOCK_LEAST_BYTES)),
)
def test_whatever_the_pieces_the_first_damaged_block_is_named(size: int, cuts: list[int], wrong: int | None) -> None:
    data = bytes(index % 253 for index in range(size))
    digests = tuple(sha256_of(data[start : start + BLOCK]) for start in range(0, size, BLOCK))
    check = BlockCheck(BlockList(BLOCK, digests), size)
    sent = bytearray(data)
    damaged = wrong is not None and wrong < size
    if damaged:
        sent[wrong] ^= 255
    pieces, left = [], bytes(sent)
    for cut in cuts:
        pieces.append(left[:cut])
        left = left[cut:]
    found = None
    try:
        for piece in [*pieces, left]:
            check.add(piece)
    except WrongBlockError as error:
        found = error.start
    assert found == (wrong - wrong % BLOCK if damaged else None)
