"""Put the server together and run it until it is told to stop."""

import asyncio
import contextlib
import hashlib
import logging
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import uvicorn
from sqlalchemy import Connection, update

from contract.names import check_id
from fleet_server.api.application import build_application
from fleet_server.api.floor import Floor
from fleet_server.broker.opening import open_broker
from fleet_server.broker.settings import EMBEDDED, MOSQUITTO, Broker, BrokerSettings
from fleet_server.conductor.loop import Start, run_conductor
from fleet_server.conductor.restored import STARTED_AT, list_online, list_running
from fleet_server.data_folder import DataFolder
from fleet_server.deltas.loop import run_patch_making
from fleet_server.devices.credentials import Credentials, open_operator_token
from fleet_server.devices.desired import Director
from fleet_server.errors import SetupError
from fleet_server.housekeeping import run_housekeeping
from fleet_server.link.fleet_link import FleetLink
from fleet_server.samples.intake import DEFAULT_LIMITS, SampleLimits
from fleet_server.samples.sample_files import SampleFiles
from fleet_server.store import schema
from fleet_server.store.artifacts import ArtifactStore
from fleet_server.store.database import Database, get_fact, set_fact
from fleet_server.times import system_clock
from fleet_server.trust.server_keys import open_server_keys

_LOG = logging.getLogger(__name__)
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
STOP_S = 1
DEFAULT_FLEET = "main"


@dataclass(frozen=True)
class ServeSettings:
    """What `eyelet-fleet serve` was asked for; port 0 takes the port of the last start, or a free one."""

    data: Path
    host: str = "127.0.0.1"
    port: int = 8470
    mqtt_port: int = 8471
    broker: str = EMBEDDED
    fleet: str = ""
    tls_cert: Path | None = None
    tls_key: Path | None = None
    public_host: str = ""
    sample_limits: SampleLimits = DEFAULT_LIMITS

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        return self.host in LOOPBACK


def check_settings(settings: ServeSettings) -> None:
    """Refuse to listen beyond loopback without TLS.

    Raises:
        SetupError, InvalidNameError: the settings do not go together.
    """
    if (settings.tls_cert is None) != (settings.tls_key is None):
        raise SetupError("TLS needs both a certificate and its key", "Give --tls-cert and --tls-key.")
    for path in (settings.tls_cert, settings.tls_key):
        if path is not None and not path.is_file():
            raise SetupError(f"{path} does not exist")
    if not settings.loopback and settings.tls_cert is None:
        raise SetupError(
            f"listening on {settings.host} needs TLS: others could read tokens and passwords",
            "Give --tls-cert and --tls-key, or stay on 127.0.0.1.",
        )
    if settings.fleet:
        check_id(settings.fleet, "fleet")


async def serve(settings: ServeSettings, ready: Callable[[str, str], None]) -> None:
    """Run the server until SIGTERM or SIGINT; `ready` gets its URL and the broker's once all answers.

    Raises:
        SetupError, BrokerError: it can not start.
    """
    check_settings(settings)
    folder = DataFolder(settings.data.resolve())
    stop = asyncio.Event()
    with folder.locked(), _signals(stop), Database(folder.database) as database:
        fleet, ports = await database.write_async(partial(_open_fleet, settings=settings))
        credentials = Credentials(database)
        async with open_broker(_broker_settings(settings, fleet, folder, ports[1]), credentials) as broker:
            begin = partial(_begin, owned=settings.broker in {EMBEDDED, MOSQUITTO}, now=system_clock())
            start = await database.write_async(begin)
            floor = _build_floor(settings, folder, (database, credentials), (fleet, broker))
            await _run(settings, folder, (floor, broker, start), (stop, ready, ports[0]))


def _open_fleet(connection: Connection, settings: ServeSettings) -> tuple[str, tuple[int, int]]:
    fleet = get_fact(connection, "fleet")
    if fleet is not None and settings.fleet not in {"", fleet}:
        raise SetupError(
            f"this data folder belongs to the fleet {fleet!r}, --fleet says {settings.fleet!r}", "Use another --data for another fleet."
        )
    if fleet is None:
        fleet = settings.fleet or DEFAULT_FLEET
        set_fact(connection, "fleet", fleet)
    return fleet, (int(get_fact(connection, "port") or 0), int(get_fact(connection, "mqtt_port") or 0))


def _begin(connection: Connection, owned: bool, now: float) -> Start:
    set_fact(connection, STARTED_AT, str(now))
    start = Start(now, frozenset(list_online(connection)), frozenset(list_running(connection)))
    if owned:  # the broker began with this server, so nobody is connected yet
        connection.execute(update(schema.presence).values(presence="offline"))
    return start


def _broker_settings(settings: ServeSettings, fleet: str, folder: DataFolder, last_port: int) -> BrokerSettings:
    port = settings.mqtt_port or _free_again(settings.host, last_port)
    return BrokerSettings(settings.broker, fleet, folder.broker, settings.host, port, settings.tls_cert, settings.tls_key)


def _free_again(host: str, port: int) -> int:
    """`port` if it is free now, else 0: devices keep the address that they were enrolled with."""
    if port:
        with contextlib.suppress(OSError), _bind(host, port):
            return port
    return 0


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
    except OSError:
        listening.close()
        raise
    return listening


def _build_floor(
    settings: ServeSettings, folder: DataFolder, stores: tuple[Database, Credentials], fleet_and_broker: tuple[str, Broker]
) -> Floor:
    database, credentials = stores
    fleet, broker = fleet_and_broker
    address = broker.address
    scheme = "mqtts" if address.tls else "mqtt"
    owned = settings.broker in {EMBEDDED, MOSQUITTO}
    mqtt_url = f"{scheme}://{settings.public_host}:{address.port}" if settings.public_host and owned else address.url
    return Floor(
        database=database,
        artifacts=ArtifactStore(folder.artifacts),
        samples=SampleFiles(folder.samples),
        sample_limits=settings.sample_limits,
        credentials=credentials,
        keys=open_server_keys(folder.keys),
        fleet=fleet,
        operator_token=open_operator_token(folder.token),
        clock=system_clock,
        mqtt_url=lambda: mqtt_url,
        loopback=settings.loopback,
        ca_sha256=_certificate_digest(settings.tls_cert),
        admit=broker.admit,
        expel=broker.expel,
    )


def _certificate_digest(path: Path | None) -> str:
    """SHA-256 of the last certificate of the chain in DER, which devices pin."""
    if path is None:
        return ""
    last = path.read_text().rpartition("-----BEGIN CERTIFICATE-----")
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(last[1] + last[2])).hexdigest()


async def _run(
    settings: ServeSettings,
    folder: DataFolder,
    parts: tuple[Floor, Broker, Start],
    times: tuple[asyncio.Event, Callable[[str, str], None], int],
) -> None:
    floor, broker, begun = parts
    stop, ready, last_port = times
    director = Director(floor.fleet, floor.keys.director)
    link = FleetLink(floor.database, director, broker.address, floor.clock)
    listening = _listen(settings, last_port)
    async with _tasks() as start, _http(settings, floor, listening) as http:
        tasks = [
            start(link.run(), name="fleet-link"),
            start(run_conductor(floor.database, director, floor.clock, begun), name="conductor"),
            start(run_housekeeping(floor), name="housekeeping"),
            start(run_patch_making(floor.database, floor.artifacts), name="patch-making"),
        ]
        await _first(link.connected.wait(), stop.wait(), *tasks, seconds=10)
        if not stop.is_set():
            url = _url(settings, listening)
            await floor.database.write_async(partial(_keep_ports, ports=(listening.getsockname()[1], broker.address.port)))
            folder.write_server_file(url, floor.mqtt_url())
            ready(url, floor.mqtt_url())
            await _first(stop.wait(), http, *tasks)
        _LOG.info("The server stops")


def _listen(settings: ServeSettings, last_port: int) -> socket.socket:
    port = settings.port or _free_again(settings.host, last_port)
    try:
        return _bind(settings.host, port)
    except OSError as error:
        raise SetupError(
            f"the server can not use {settings.host}:{port}: {error}", "Is another server running? Give another --port."
        ) from error


def _keep_ports(connection: Connection, ports: tuple[int, int]) -> None:
    for name, port in zip(("port", "mqtt_port"), ports, strict=True):
        set_fact(connection, name, str(port))


def _url(settings: ServeSettings, listening: socket.socket) -> str:
    host = settings.public_host or settings.host
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if settings.tls_cert else 'http'}://{shown}:{listening.getsockname()[1]}"


@contextlib.asynccontextmanager
async def _http(settings: ServeSettings, floor: Floor, listening: socket.socket) -> AsyncIterator[asyncio.Task[None]]:
    config = uvicorn.Config(
        build_application(floor),
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=STOP_S,
        timeout_keep_alive=30,
        ssl_certfile=str(settings.tls_cert) if settings.tls_cert else None,
        ssl_keyfile=str(settings.tls_key) if settings.tls_key else None,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listening]), name="http")
    try:
        yield task
    finally:
        server.should_exit = True
        await task


class _Server(uvicorn.Server):
    """Signals belong to the whole server, not to its HTTP part."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield


@contextlib.asynccontextmanager
async def _tasks() -> AsyncIterator[Callable[..., asyncio.Task[None]]]:
    """Tasks that end with the block."""
    tasks: list[asyncio.Task[None]] = []

    def start(work: object, *, name: str) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(work, name=name)  # type: ignore[arg-type]
        tasks.append(task)
        return task

    try:
        yield start
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _first(*works: object, seconds: float | None = None) -> None:
    """Wait until the first is done; an error of a task ends the server."""
    tasks: list[asyncio.Task[object]] = [asyncio.ensure_future(work) for work in works]  # type: ignore[call-overload]
    done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for task, work in zip(tasks, works, strict=True):
        if task is not work:
            task.cancel()  # a wait that this function began; the server's own tasks go on
    for task in done:
        task.result()


@contextlib.contextmanager
def _signals(stop: asyncio.Event) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
