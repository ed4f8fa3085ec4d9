"""Run the real server in this process for the length of a block, and wait for things without sleeping blindly."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import httpx

from fleet_server.serving import ServeSettings, serve
from tests.simulators.studio import SimulatedStudio, operator_client

DEADLINE_S = 30.0


@dataclass
class Running:
    """A server that answers, an operator's client and a studio."""

    data: Path
    url: str
    mqtt_url: str
    client: httpx.Client
    studio: SimulatedStudio

    async def get(self, path: str):
        response = await asyncio.to_thread(self.client.get, path)
        response.raise_for_status()
        return response.json()

    async def post(self, path: str, body: object) -> httpx.Response:
        return await asyncio.to_thread(self.studio.post, path, body)


@contextlib.asynccontextmanager
async def running_server(data: Path, *, studio: SimulatedStudio | None = None, **options) -> AsyncIterator[Running]:
    """The server on free ports (the same again with the same folder)."""
    ready = asyncio.get_running_loop().create_future()
    settings = ServeSettings(data=data, port=0, mqtt_port=0, **options)
    task = asyncio.create_task(serve(settings, lambda url, mqtt_url: ready.set_result((url, mqtt_url))))
    await asyncio.wait([task, ready], return_when=asyncio.FIRST_COMPLETED)
    if not ready.done():
        await task
    url, mqtt_url = ready.result()
    with operator_client(url, data / "operator.token", options.get("tls_cert")) as client:
        studio = studio or SimulatedStudio(client)
        studio.client = client
        try:
            yield Running(data, url, mqtt_url, client, studio)
        finally:
            import os
            import signal

            os.kill(os.getpid(), signal.SIGTERM)
            await task


async def wait_for(check: Callable[[], Awaitable[object]], what: str, seconds: float = DEADLINE_S):
    """Ask `check` again and again until it answers something true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := await check():
            return found
        await asyncio.sleep(0.02)
    raise AssertionError(f"waited {seconds} s for {what}")
