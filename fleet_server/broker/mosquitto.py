"""A mosquitto child process that this server configures, starts, reloads and ends.

Devices get their client id from their user name (`use_username_as_clientid`), so that none can take
over another one's session. Mosquitto grants a subscription to foreign topics and then delivers
nothing on it; the embedded listener refuses it outright.
"""

import asyncio
import contextlib
import getpass
import logging
import os
import secrets
import shutil
import signal
import socket
from collections import deque
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import mqtt5

from contract.codec import MESSAGE_MAX_BYTES
from contract.files import write_atomic
from contract.topics import FROM_DEVICE, PREFIX, TO_DEVICE
from fleet_server.broker.access import SERVER_USERNAME
from fleet_server.broker.passwords import hash_password
from fleet_server.broker.settings import Broker, BrokerAddress, BrokerError, BrokerSettings, DeviceDirectory, loopback_of

logger = logging.getLogger(__name__)
output_logger = logging.getLogger(f"{__name__}.output")
PROGRAM = "mosquitto"
START_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 5.0
PROBE_TIMEOUT_S = 1.0
RESTART_DELAY_S = 1.0
_SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin"])


def find_mosquitto() -> str | None:
    """The mosquitto program, also where it is outside an ordinary user's PATH."""
    return shutil.which(PROGRAM, path=_SEARCH_PATH)


def access_rules(fleet: str, server_username: str = SERVER_USERNAME) -> bytes:
    """Mosquitto's ACL file: the server everything, each device its own topics by its user name."""
    lines = [f"user {server_username}", "topic readwrite #", ""]
    for word, channels in (("write", FROM_DEVICE), ("read", TO_DEVICE)):
        lines += [f"pattern {word} {PREFIX}/{fleet}/%u/{channel}" for channel in sorted(c.value for c in channels)]
    return ("\n".join(lines) + "\n").encode()


def password_lines(verifiers: Mapping[str, str]) -> bytes:
    """Mosquitto's password file."""
    return "".join(f"{name}:{verifier}\n" for name, verifier in sorted(verifiers.items())).encode()


def configuration(settings: BrokerSettings, port: int) -> bytes:
    """`mosquitto.conf`; retained messages are saved at every change, since the default loses 30 minutes of them."""
    folder = settings.folder
    lines = [
        "per_listener_settings false",
        f"listener {port} {settings.host}",
        "allow_anonymous false",
        f"password_file {folder / 'passwords'}",
        f"acl_file {folder / 'access'}",
        "use_username_as_clientid true",
        "persistence true",
        f"persistence_location {folder}/",
        "autosave_interval 1",
        "autosave_on_changes true",
        "persistent_client_expiration 7d",
        f"message_size_limit {MESSAGE_MAX_BYTES}",
        "max_qos 1",
        "max_queued_messages 10000",
        "max_keepalive 3600",
        f"log_dest file {folder / 'mosquitto.log'}",
    ]
    if settings.tls_cert is not None:
        lines += [f"certfile {settings.tls_cert}", f"keyfile {settings.tls_key}"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        lines.append(f"user {getpass.getuser()}")  # else it becomes a user that can not read this folder
    return ("\n".join(lines) + "\n").encode()


class Mosquitto:
    """A running child; made by `start_mosquitto`."""

    def __init__(self, settings: BrokerSettings, devices: DeviceDirectory, address: BrokerAddress) -> None:
        self.address = address
        self._settings = settings
        self._devices = devices
        self._server_verifier = hash_password(address.password)
        self._process: asyncio.subprocess.Process | None = None
        self._listener: asyncio.Task[None] | None = None
        self._said: deque[str] = deque(maxlen=3)

    @property
    def config_path(self) -> Path:
        """Its configuration file, which also names the process."""
        return self._settings.folder / "mosquitto.conf"

    async def admit(self, device: str) -> None:  # noqa: ARG002
        """Write the accounts again and let mosquitto read them."""
        self.reload()

    async def expel(self, device: str) -> None:  # noqa: ARG002
        """Write the accounts again; mosquitto cuts off who has none any more."""
        self.reload()

    def reload(self) -> None:
        """Write the accounts and send SIGHUP."""
        self._write_passwords()
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGHUP)

    def _write_passwords(self) -> None:
        verifiers = {**self._devices.list_verifiers(), self.address.username: self._server_verifier}
        write_atomic(self._settings.folder / "passwords", password_lines(verifiers), mode=0o600)

    async def start(self) -> None:
        """Write its files, start it, wait until it listens.

        Raises:
            BrokerError: it ended at once or does not listen in time.
        """
        program = find_mosquitto()
        if program is None:
            raise BrokerError("mosquitto is not installed (apt install mosquitto), or choose --broker embedded")
        folder = self._settings.folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._write_passwords()
        write_atomic(folder / "access", access_rules(self._settings.fleet), mode=0o600)
        write_atomic(self.config_path, configuration(self._settings, self.address.port))
        await end_leftover(self.config_path)
        self._process = await asyncio.create_subprocess_exec(
            program,
            "-c",
            str(self.config_path),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )  # of its own session: Ctrl-C is for the server, which then ends it in order
        self._listener = asyncio.create_task(self._pass_on(self._process.stdout), name="mosquitto-output")
        await self._wait_until_listening(self._process)

    async def _pass_on(self, output: asyncio.StreamReader | None) -> None:
        """What it says before it opens its log file; ends with it."""
        while output is not None and (line := await output.readline()):
            self._said.append(line.decode(errors="replace").strip())
            output_logger.debug("mosquitto: %s", self._said[-1])

    async def _wait_until_listening(self, process: asyncio.subprocess.Process) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + START_TIMEOUT_S
        while loop.time() < deadline:
            if process.returncode is not None:
                raise BrokerError(f"mosquitto ended at once: {self._last_log()}")
            with contextlib.suppress(OSError, asyncio.TimeoutError):
                if await asyncio.wait_for(self._answers(), PROBE_TIMEOUT_S):
                    return
            await asyncio.sleep(0.02)
        raise BrokerError(f"mosquitto does not listen on port {self.address.port} after {START_TIMEOUT_S:g} s: {self._last_log()}")

    async def _answers(self) -> bool:
        """Whether it answers a CONNECT (by refusing it): it listens before it has read its certificate."""
        reader, writer = await asyncio.open_connection(self.address.host, self.address.port, ssl=self.address.ssl_context())
        try:
            writer.write(mqtt5.ConnectPacket("probe").write())
            return bool(await reader.read(1))
        finally:
            writer.close()

    def _last_log(self) -> str:
        path = self._settings.folder / "mosquitto.log"
        lines = path.read_text(errors="replace").splitlines() if path.is_file() else []
        return " / ".join(line.partition(": ")[2] for line in lines[-3:] or self._said) or "it left no log"

    async def keep_alive(self) -> None:
        """Start it again whenever it ends by itself."""
        while self._process is not None:
            code = await self._process.wait()
            logger.error("mosquitto ended with code %s and is started again", code)
            await asyncio.sleep(RESTART_DELAY_S)
            try:
                await self.start()
            except BrokerError:
                logger.exception("mosquitto can not be started again")

    async def stop(self) -> None:
        """End it: first asked, then forced."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_TIMEOUT_S)
        except asyncio.TimeoutError:
            process.kill()
            await process.wait()
        if self._listener is not None:
            await self._listener


@contextlib.asynccontextmanager
async def start_mosquitto(settings: BrokerSettings, devices: DeviceDirectory) -> AsyncIterator[Broker]:
    """A mosquitto for as long as the block lives.

    Raises:
        BrokerError: it is not installed or can not be started.
    """
    port = settings.port or free_port(settings.host)
    address = BrokerAddress(
        loopback_of(settings.host), port, password=secrets.token_urlsafe(32), tls=settings.tls_cert is not None, pinned=settings.tls_cert
    )
    mosquitto = Mosquitto(settings, devices, address)
    try:
        await mosquitto.start()
        watch = asyncio.create_task(mosquitto.keep_alive(), name="mosquitto-watch")
        try:
            yield mosquitto
        finally:
            watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watch
    finally:
        await mosquitto.stop()


def free_port(host: str) -> int:
    """A TCP port that is free now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


async def end_leftover(config_path: Path) -> None:
    """End a mosquitto of an earlier server that was killed: one that runs with this very configuration file (Linux only)."""
    for folder in _processes_with(config_path):
        logger.warning("A mosquitto of an earlier server still ran and is ended")
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(folder.name), signal.SIGTERM)
        for _ in range(100):
            if not _runs_with(folder, config_path):
                break
            await asyncio.sleep(STOP_TIMEOUT_S / 100)


def _processes_with(config_path: Path) -> list[Path]:
    return [folder for folder in Path("/proc").glob("[0-9]*") if _runs_with(folder, config_path)]


def _runs_with(process_folder: Path, config_path: Path) -> bool:
    try:
        arguments = (process_folder / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return arguments[0].endswith(PROGRAM.encode()) and os.fsencode(str(config_path)) in arguments
