"""A connection with a broker leaves nothing open, however it ends: no collector need come for it."""

import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from edge_agent.sources.broker_client import BrokerAddress, BrokerClient, BrokerOptions
from edge_agent.sources.source import SourceError
from tests.edge_agent.fuzz.sockets import CONNACK, answering
from tests.simulators.brokers import Mosquitto
from tests.simulators.ports import find_free_port
from tests.simulators.waiting import wait_until

REFUSAL = b"\x20\x03\x00\x87\x00"  # not authorized


@pytest.fixture
def nothing_is_left() -> Iterator[None]:
    """As many descriptors as before, without the collector."""
    gc.collect()
    gc.disable()
    before = psutil.Process().num_fds()
    try:
        yield
        wait_until(lambda: psutil.Process().num_fds() <= before)  # a server's thread hangs up a little later
    finally:
        gc.enable()


def address_of(port: int, folder: Path) -> BrokerAddress:
    return BrokerAddress(BrokerOptions(url=f"mqtt://127.0.0.1:{port}"), folder)


def use_up(port: int, folder: Path, use: Callable[[BrokerClient], None] = lambda _: None) -> None:
    client = BrokerClient(address_of(port, folder), lambda *_: None)
    try:
        use(client)
    finally:
        client.close()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    mosquitto = Mosquitto(tmp_path)
    yield mosquitto
    mosquitto.close()


@pytest.mark.usefixtures("nothing_is_left")
def test_after_it_was_closed(broker: Mosquitto, tmp_path: Path) -> None:
    use_up(broker.port, tmp_path, lambda client: client.publish("t", b"x", 1, retain=False))


@pytest.mark.usefixtures("nothing_is_left")
def test_after_it_was_lost(broker: Mosquitto, tmp_path: Path) -> None:
    def lose(client: BrokerClient) -> None:
        broker.close()
        for _ in range(100):
            client.serve()

    with pytest.raises(SourceError, match="is lost"):
        use_up(broker.port, tmp_path, lose)


@pytest.mark.parametrize(("answer", "words"), [(REFUSAL, "refused: Not authorized"), (b"", "is lost"), (CONNACK[:3], "is lost")])
@pytest.mark.usefixtures("nothing_is_left")
def test_after_it_was_never_opened(tmp_path: Path, answer: bytes, words: str) -> None:
    with answering() as server:
        server.answer = answer  # type: ignore[attr-defined]
        with pytest.raises(SourceError, match=words):
            use_up(server.server_address[1], tmp_path)


@pytest.mark.usefixtures("nothing_is_left")
def test_after_nobody_answered(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="can not be reached"):
        use_up(find_free_port(), tmp_path)
