"""A real broker for a test: the embedded listener, or mosquitto where the server's libraries are not."""

import asyncio
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest

from tests.simulators.ports import find_free_port
from tests.simulators.waiting import wait_until


class Broker(Protocol):
    """Can be taken down and up on the same port."""

    port: int

    def open(self) -> None: ...

    def close(self) -> None: ...


def open_broker(folder: Path, fleet: str, server_password: str, find_password: Callable[[str], str | None]) -> Broker:
    """The embedded listener with its access rules; on Python 3.10 (agent only) a mosquitto that lets anyone in."""
    if sys.version_info >= (3, 11):
        return EmbeddedBroker(fleet, server_password, find_password)
    return Mosquitto(folder)


class EmbeddedBroker:
    """The listener on a thread of its own."""

    def __init__(self, fleet: str, server_password: str, find_password: Callable[[str], str | None]) -> None:
        from fleet_server.broker.access import FleetAuthenticator
        from fleet_server.broker.passwords import hash_password

        def find_verifier(device: str) -> str | None:
            password = find_password(device)
            return hash_password(password) if password else None

        self._authenticator = FleetAuthenticator(fleet, server_password, find_verifier)
        self.port = 0
        self._thread: threading.Thread | None = None
        self.open()

    def open(self) -> None:
        from fleet_server.broker.listener import start_listener

        ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()

        async def serve() -> None:
            async with start_listener("127.0.0.1", self.port, self._authenticator) as listener:
                self.port = listener.port
                ready.set()
                await self._stop.wait()

        def run() -> None:
            self._loop.run_until_complete(serve())
            self._loop.close()

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()
        assert ready.wait(30)

    def close(self) -> None:
        if self._thread is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(30)
            self._thread = None


class Mosquitto:
    """A mosquitto without access rules."""

    def __init__(self, folder: Path) -> None:
        if shutil.which("mosquitto") is None:
            pytest.skip("mosquitto is not installed")
        self.port = find_free_port()
        self._config = folder / "mosquitto.conf"
        self._config.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
        self._process: subprocess.Popen[bytes] | None = None
        self.open()

    def open(self) -> None:
        self._process = subprocess.Popen(["mosquitto", "-c", str(self._config)], stderr=subprocess.DEVNULL)
        wait_until(self._is_open)

    def _is_open(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
