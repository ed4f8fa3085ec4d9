"""The candidate in the shadow of the version that serves: `python -m edge_agent.worker.shadow`.

It gets samples with the answers that were given to them, answers them itself and compares. It has no
listening socket, no source and no sink: nobody but the supervisor hears what it says.
"""

import asyncio
import contextlib
import logging
import os
import socket

from contract.states import FailureReason
from edge_agent.capture.disagreements import Candidate, DisagreementSamples, open_disagreement_samples
from edge_agent.engine.engine import Prediction
from edge_agent.engine.errors import InferenceError, InputError
from edge_agent.settings import SettingsError
from edge_agent.worker.main import main as run_child
from edge_agent.worker.messages import Failed, Flush, FromWorker, Ping, Pong, Ready, Stop, WorkerRequest, decode_to_worker, encode_line
from edge_agent.worker.named_tasks import NamedTasks
from edge_agent.worker.opening import OpenedModel
from edge_agent.worker.shadow_counts import ShadowCounts
from edge_agent.worker.shadow_frames import Pair, read_pair

NICENESS = 10
"""Where processor time is short, the version that serves comes first."""
STREAM_LIMIT_BYTES = 1 << 20

log = logging.getLogger(__name__)


class Shadow:
    """One candidate at work."""

    def __init__(self, request: WorkerRequest, opened: OpenedModel, channel: asyncio.WriteTransport) -> None:
        self._request = request
        self._opened = opened
        self._channel = channel
        self._counts = ShadowCounts()
        self._samples: DisagreementSamples | None = None
        self._said_error = ""
        self._tasks = NamedTasks(self._give_up)
        self.ended = asyncio.Event()

    def send(self, message: FromWorker) -> None:
        """One line to the supervisor; never blocks."""
        self._channel.write(encode_line(message))

    async def serve(self, lines: asyncio.StreamReader, begun_s: float) -> None:
        """Answer pairs until told to end, or until the supervisor is gone."""
        with contextlib.suppress(OSError, AttributeError):
            os.nice(NICENESS)
        (descriptor,) = self._request.sockets
        stream, writer = await asyncio.open_connection(sock=socket.socket(fileno=descriptor), limit=STREAM_LIMIT_BYTES)
        self._samples = self._open_samples()
        self.send(self._ready(begun_s))
        self._tasks.start(self._take_pairs(stream), "pairs")
        self._tasks.start(self._report(), "reports")
        self._tasks.start(self._read_control(lines), "control")
        await self.ended.wait()
        writer.close()
        await self._close()

    def _ready(self, begun_s: float) -> Ready:
        manifest = self._opened.package.manifest
        since_s = asyncio.get_running_loop().time() - begun_s
        digest, variant = self._request.digest, self._opened.variant
        return Ready(manifest.name, manifest.version, digest, variant, os.getpid(), since_s, self._opened.latency_us)

    def _open_samples(self) -> DisagreementSamples | None:
        manifest = self._opened.package.manifest
        try:
            return open_disagreement_samples(self._request, Candidate(manifest.name, manifest.version))
        except SettingsError as error:
            log.warning("no samples are kept: %s", error)
            return None

    def _give_up(self, why: str) -> None:
        self.send(Failed(FailureReason.INTERNAL, why))
        self.ended.set()

    async def _take_pairs(self, stream: asyncio.StreamReader) -> None:
        while (pair := await read_pair(stream)) is not None:
            self._answer(pair)
            await asyncio.sleep(0)  # pairs that wait must not keep a ping waiting

    def _answer(self, pair: Pair) -> None:
        try:
            prediction = self._opened.engine.predict(pair.sample)
        except (InputError, InferenceError) as error:
            self._counts.record_error(pair.head, str(error))
            if str(error) != self._said_error:
                log.warning("no answer to a sample that the version before answered: %s", error)
            self._said_error = str(error)
            return
        if self._counts.record(pair.head, prediction):
            self._keep(pair, prediction)

    def _keep(self, pair: Pair, prediction: Prediction) -> None:
        """Only what an application's source brought: what others sent to the endpoint is theirs."""
        if self._samples is not None and pair.head.source:
            self._samples.offer(pair, prediction.label, asyncio.get_running_loop().time())

    async def _report(self) -> None:
        said = -1
        while True:
            if self._counts.seen != said:
                said = self._counts.seen
                self.send(self._counts.message())
            await asyncio.sleep(self._request.window_s)

    async def _read_control(self, lines: asyncio.StreamReader) -> None:
        while line := await lines.readline():
            message = decode_to_worker(line)
            if isinstance(message, Ping):
                self.send(Pong(message.id, self._counts.seen))
            elif isinstance(message, Flush):
                self.send(self._counts.message())
            elif isinstance(message, Stop):
                break
        self.ended.set()

    async def _close(self) -> None:
        self._tasks.cancel()
        if self._samples is not None:
            await asyncio.to_thread(self._samples.close)
        self._opened.engine.close()
        self._channel.close()
        await asyncio.sleep(0)


def main() -> None:
    """Entry point of the child."""
    run_child(Shadow)


if __name__ == "__main__":
    main()
