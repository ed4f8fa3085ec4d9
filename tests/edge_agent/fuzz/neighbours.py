"""Doors for what is handed over on the device itself: a stick, frames of the capture process, pairs for a candidate in the shadow."""

import asyncio
import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np

from contract.bundle import BundleIndex, opened_bundle, write_bundle
from contract.errors import ContractError
from contract.manifest import FileEntry
from contract.signing import generate_key
from contract.trust import manifest_target, model_role
from edge_agent.frames.frame_source import _view
from edge_agent.frames.messages import (
    Dropped,
    Ended,
    Frame,
    Hello,
    Left,
    Notice,
    Pool,
    Tensor,
    Want,
    decode_from_reader,
    decode_to_reader,
    encode_ring,
)
from edge_agent.update.bundles import wish_for_bundle
from edge_agent.update.tuf_child import refresh
from edge_agent.update.tuf_messages import TufRequest
from edge_agent.worker.shadow_frames import Pair, encode_pair, read_pair
from tests.edge_agent.fuzz.fuzzing import Door, Opened
from tests.simulators.packages import make_package
from tests.simulators.tuf_folder import TufFolder

KEY = generate_key()


@contextlib.contextmanager
def usb_bundle(folder: Path) -> Iterator[Opened]:
    """A bundle on a stick, before a real TUF client."""
    tuf, package = TufFolder(folder / "tuf"), make_package(folder / "package", key=KEY)
    target = manifest_target("digits", 1)
    tuf.set_target(model_role("digits"), target, package.manifest_bytes)
    entry = FileEntry(package.digest, len(package.manifest_bytes))
    metadata = {path.name: path.read_bytes() for path in tuf.metadata.iterdir()}
    artifacts: dict[str, Path | bytes] = {entry.sha256: package.manifest_bytes}
    artifacts |= {found.sha256: package.path_of(name) for name, found in package.manifest.files.items()}
    stick = folder / "stick.eyelet-bundle"
    seed = write_bundle(stick, BundleIndex(1, "digits", 1, entry), metadata, artifacts).read_bytes()
    (folder / "root.json").write_bytes(tuf.root_bytes)
    cache, objects = folder / "cache", folder / "objects"
    root = str(folder / "root.json")
    asked = TufRequest("", "", "", "", root, str(cache), str(objects), (target,), bundle_file=str(stick))

    def take(data: bytes) -> str:
        for place in (cache, objects):
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
        stick.write_bytes(data)
        with opened_bundle(stick) as bundle:
            wish_for_bundle(bundle.index)
            for digest in artifacts:
                if bundle.artifact_size(digest) is not None:
                    b"".join(bundle.artifact(digest))
        answer = refresh(asked)
        assert answer.error or answer.targets == {target: entry}, "TUF vouches for what was signed, or for nothing"
        return answer.kind

    yield Opened([seed], take, (ContractError,))


@contextlib.contextmanager
def rings(_folder: Path) -> Iterator[Opened]:
    """What capture process and worker say to each other."""
    tensor = Tensor("frame", "|u1", (4, 4, 3), 0)
    messages = (
        Hello(7),
        Pool(4096),
        Frame(7, 1, "one", (tensor,), 5),
        Dropped("x", "late", 2),
        Notice("gone", failed=True),
        Ended(""),
        Left(),
        Want(7, 1),
    )
    memory = bytes(4096)

    def take(data: bytes) -> str:
        try:
            message = decode_to_reader(data)
        except msgspec.DecodeError:
            decode_from_reader(data)
            return ""
        if isinstance(message, Frame):
            with contextlib.suppress(KeyError, ValueError, OverflowError):  # as the worker takes them
                assert all(_view(memory, found).nbytes <= len(memory) for found in message.tensors)
        return ""

    yield Opened([encode_ring(message) for message in messages], take, (msgspec.DecodeError, UnicodeDecodeError, RecursionError))


@contextlib.contextmanager
def pairs(_folder: Path) -> Iterator[Opened]:
    """Samples and answers of the worker that serves, as a candidate reads them."""
    from edge_agent.engine.engine import Prediction

    scores = np.array([0.2, 0.8], np.float32)
    prediction = Prediction("red", 1, 0.8, scores, {"scores": scores}, 12.0, accepted=True)
    samples = ({"frame": np.zeros((2, 2, 3), np.uint8)}, {"age": np.array([1.0], np.float32), "city": np.array(["Köln"], object)})

    async def read(data: bytes) -> Pair | None:
        stream = asyncio.StreamReader()
        stream.feed_data(data)
        stream.feed_eof()
        return await read_pair(stream)

    def take(data: bytes) -> str:
        return "" if asyncio.run(read(data)) else "the end"

    yield Opened(
        [encode_pair(sample, prediction, at="2026-01-01T00:00:00Z", source="x", dropped=0) for sample in samples], take, (ContractError,)
    )


NEIGHBOURS = (Door("usb-bundle", usb_bundle), Door("rings", rings), Door("shadow-pairs", pairs))
