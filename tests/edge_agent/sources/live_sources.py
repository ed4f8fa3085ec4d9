"""What the tests of live sources share: models of each kind, and a loop that takes until it has seen enough."""

import asyncio
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np

from contract.application import Source
from contract.manifest import TensorSpec
from edge_agent.engine.model_spec import ModelSpec
from edge_agent.sources.source import Item, SourceSample
from edge_agent.sources.table import open_source

SCORES = (TensorSpec("scores", "float32", (2,)),)
IMAGES = ModelSpec("image-classification", ("a", "b"), (TensorSpec("frame", "uint8", (-1, -1, 3)),), SCORES, {})
ROWS = ModelSpec("tabular-classification", ("a", "b"), (TensorSpec("age", "float32", (1,)), TensorSpec("city", "string", (1,))), SCORES, {})
SERIES = ModelSpec("series-classification", ("a", "b"), (TensorSpec("readings", "float32", (3, 2)),), SCORES, {})
SOUND = ModelSpec("audio-classification", ("a", "b"), (TensorSpec("sound", "float32", (100,), units="1000 Hz"),), SCORES, {})


def take_until(
    document: Source,
    spec: ModelSpec,
    folder: Path,
    enough: Callable[[list[Item]], bool] = lambda _: False,
    *,
    meanwhile: Callable[[], None] | None = None,
    timeout_s: float = 10.0,
) -> list[Item]:
    """Items until `enough` holds or the source ends; `meanwhile` runs on a thread beside."""

    async def collect() -> list[Item]:
        found: list[Item] = []
        beside = asyncio.create_task(asyncio.to_thread(meanwhile)) if meanwhile else None
        items = open_source(document, spec, folder).items()
        async for item in items:
            found.append(item)
            if enough(found):
                break
        await items.aclose()
        if beside is not None:
            await beside
        return found

    async def bounded() -> list[Item]:
        return await asyncio.wait_for(collect(), timeout_s)

    return asyncio.run(bounded())


def samples(items: list[Item]) -> list[SourceSample]:
    """The samples alone."""
    return [item for item in items if isinstance(item, SourceSample)]


def make_wav(data: bytes, *, code: int = 1, bits: int = 16, channels: int = 1, rate_hz: int = 1000) -> bytes:
    """A WAV file around raw samples."""
    form = struct.pack("<HHIIHH", code, channels, rate_hz, rate_hz * channels * bits // 8, channels * bits // 8, bits)
    body = b"WAVE" + b"fmt " + struct.pack("<I", len(form)) + form + b"LIST" + struct.pack("<I", 3) + b"abc\0"
    body += b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def ramp(count: int) -> bytes:
    """16-bit samples 0, 1, 2, …"""
    return np.arange(count, dtype="<i2").tobytes()
