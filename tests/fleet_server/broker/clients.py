"""A broker in a thread of its own, and a client that shows every packet that passes."""

import asyncio
import collections
import contextlib
import queue
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mqtt5

from fleet_server.broker.limits import Limits
from fleet_server.broker.listener import Listener, start_listener
from fleet_server.broker.opening import open_broker
from fleet_server.broker.passwords import hash_password
from fleet_server.broker.settings import Broker, BrokerSettings

FLEET = "demo"
PASSWORD = "p" * 40
QOS = (mqtt5.QoS.AT_MOST_ONCE, mqtt5.QoS.AT_LEAST_ONCE)
WAIT_S = 20.0


def topic(device: str, channel: str) -> str:
    return f"eyelet/v1/{FLEET}/{device}/{channel}"


class Devices:
    """A directory of enrolled devices, all with the same password."""

    def __init__(self, *names: str) -> None:
        self.verifiers = {name: hash_password(PASSWORD) for name in names}

    def find_verifier(self, device: str) -> str | None:
        return self.verifiers.get(device)

    def list_verifiers(self) -> dict[str, str]:
        return dict(self.verifiers)


class RunningBroker:
    """What a test holds: the broker, its devices, and a way into its event loop."""

    def __init__(self, broker: Broker, devices: Devices, loop: asyncio.AbstractEventLoop) -> None:
        self.broker, self.devices, self.loop = broker, devices, loop
        self.port = broker.address.port

    def call(self, awaitable: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(awaitable, self.loop).result(WAIT_S)

    def connect(self, name: str, **options: Any) -> "Client":
        return Client(self.port, name, PASSWORD, **options)

    def connect_server(self, **options: Any) -> "Client":
        address = self.broker.address
        return Client(self.port, address.username, address.password, client_id=options.pop("client_id", "server"), **options)


@contextlib.contextmanager
def broker_in_thread(settings: BrokerSettings, *names: str) -> Iterator[RunningBroker]:
    devices = Devices(*names)
    started: queue.Queue[Any] = queue.Queue()

    async def live() -> None:
        stop = asyncio.Event()
        async with open_broker(settings, devices) as broker:
            started.put((broker, asyncio.get_running_loop(), stop))
            await stop.wait()

    def run() -> None:
        try:
            asyncio.run(live())
        except Exception as error:  # noqa: BLE001  (handed to the test, which raises it)
            started.put(error)

    thread = threading.Thread(target=run, name="broker")
    thread.start()
    result = started.get(timeout=30)
    if isinstance(result, Exception):
        raise result
    broker, loop, stop = result
    try:
        yield RunningBroker(broker, devices, loop)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(timeout=15)
        assert not thread.is_alive()


class RunningListener:
    """A listener in a thread, with a way into its event loop."""

    def __init__(self, listener: Listener, loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
        self._listener, self._loop, self._stop = listener, loop, stop
        self.port = listener.port

    def in_loop(self, function: Any) -> Any:
        async def call() -> Any:
            return function(self._listener)

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(WAIT_S)

    def counts(self) -> dict[str, int]:
        return self.in_loop(lambda listener: listener.counts())

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)


@contextlib.contextmanager
def listener_in_thread(authenticator: Any, limits: Limits) -> Iterator[RunningListener]:
    started: queue.Queue[RunningListener] = queue.Queue()

    async def live() -> None:
        stop = asyncio.Event()
        async with start_listener("127.0.0.1", 0, authenticator, limits=limits) as listener:
            started.put(RunningListener(listener, asyncio.get_running_loop(), stop))
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(live()), name="listener")
    thread.start()
    running = started.get(timeout=10)
    try:
        yield running
    finally:
        with contextlib.suppress(RuntimeError):  # it was stopped by the test
            running.stop()
        thread.join(timeout=15)
        assert not thread.is_alive()


def settings_of(choice: str, folder: Path, **options: Any) -> BrokerSettings:
    return BrokerSettings(choice=choice, fleet=FLEET, folder=folder, **options)


def read_frame(sock: socket.socket) -> bytes:
    """One frame; b"" at the end of the stream."""
    head = sock.recv(1)
    if not head:
        return b""
    length, shift, data = 0, 0, head
    while True:
        byte = sock.recv(1)
        if not byte:
            return b""
        data += byte
        length |= (byte[0] & 0x7F) << shift
        shift += 7
        if not byte[0] & 0x80:
            break
    body = b""
    while len(body) < length:
        piece = sock.recv(length - len(body))
        if not piece:
            return b""
        body += piece
    return data + body


class Client:
    """A client on a bare socket; acknowledges nothing by itself."""

    def __init__(
        self, port: int, username: str, password: str, *, client_id: str | None = None, connect: bool = True, **options: Any
    ) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=WAIT_S)
        self.name = username
        self._ids = iter(range(1, 65535))
        self._inbox: collections.deque[Any] = collections.deque()
        self.greeting: Any = None
        if connect:
            options.setdefault("keep_alive", 60)
            options.setdefault("clean_start", True)
            self.send(mqtt5.ConnectPacket(client_id or username, username=username, password=password.encode(), **options))
            self.greeting = self.receive(mqtt5.ConnAckPacket)

    def __enter__(self) -> "Client":  # noqa: PYI034
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, packet: Any) -> None:
        self.sock.sendall(packet if isinstance(packet, bytes) else packet.write())

    def receive(self, kind: Any = None, timeout: float = WAIT_S) -> Any:
        """The next packet (None at the end of the stream), which must be of `kind`; messages wait their turn meanwhile."""
        if kind in {None, mqtt5.PublishPacket} and self._inbox:
            return self._inbox.popleft()
        while isinstance(packet := self._read(timeout), mqtt5.PublishPacket) and kind not in {None, mqtt5.PublishPacket}:
            self._inbox.append(packet)
        assert kind is None or isinstance(packet, kind), f"expected {kind.__name__}, got {packet}"
        return packet

    def _read(self, timeout: float) -> Any:
        self.sock.settimeout(timeout)
        try:
            frame = read_frame(self.sock)
        except ConnectionResetError:
            frame = b""
        return mqtt5.read(memoryview(frame))[0] if frame else None

    def is_quiet(self, seconds: float = 0.2) -> bool:
        """Nothing comes before the answer to a ping."""
        self.send(mqtt5.PingReqPacket())
        return isinstance(self.receive(), mqtt5.PingRespPacket)

    def subscribe(self, topic_filter: str, qos: int = 1, **options: Any) -> int:
        options.setdefault("retain_as_published", False)
        self.send(mqtt5.SubscribePacket(next(self._ids), [mqtt5.TopicFilter(topic_filter, max_qos=QOS[qos], **options)]))
        return int(self.receive(mqtt5.SubAckPacket).reason_codes[0])

    def publish(self, to: str, payload: bytes = b"x", qos: int = 1, **options: Any) -> int:
        packet_id = next(self._ids) if qos else None
        self.send(mqtt5.PublishPacket(to, payload, qos=QOS[qos], packet_id=packet_id, **options))
        return int(self.receive(mqtt5.PubAckPacket).reason_code) if qos else 0

    def message(self, *, acknowledge: bool = True) -> Any:
        packet = self.receive(mqtt5.PublishPacket)
        if acknowledge and packet.packet_id is not None:
            self.send(mqtt5.PubAckPacket(packet.packet_id))
        return packet

    def disconnect(self) -> None:
        self.send(mqtt5.DisconnectPacket())
        self.sock.close()

    def cut(self) -> None:
        """As a power cut: the socket is gone without a word."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        self.sock.close()


def wait_until(condition: Any, timeout: float = WAIT_S) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
