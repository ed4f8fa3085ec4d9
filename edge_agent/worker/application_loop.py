"""An application at work: source, model, rules, sinks."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import ExitStack, aclosing
from pathlib import Path

from contract.application import Application, CapturePolicy
from contract.codec import utc_now
from contract.manifest import Manifest
from edge_agent.engine.engine import Prediction
from edge_agent.engine.errors import InferenceError, InputError
from edge_agent.sinks.sink import Record, Sink, SinkError
from edge_agent.sinks.table import open_sink
from edge_agent.sources.source import Item, SourceDropped, SourceError, SourceSample
from edge_agent.sources.table import open_source
from edge_agent.worker.inference import Inference, QueueFullError
from edge_agent.worker.messages import FromWorker, RuleFired, SourceEnded, SourceSaid
from edge_agent.worker.rules import Firing, RuleState, take_all

log = logging.getLogger(__name__)

SAY_AGAIN_S = 60.0
REASONS_KEPT = 64


class SeldomLog:
    """Says the same thing once a minute at most, with how often it happened meanwhile: a loop must not fill the disk with its log."""

    def __init__(self) -> None:
        self._waiting: dict[str, int] = {}
        self._said_s: dict[str, float] = {}

    def tell(self, reason: str, amount: int, text: Callable[[int], str]) -> None:
        """`reason` happened `amount` times more; `text` puts it into words with the number of times."""
        self._waiting[reason] = self._waiting.get(reason, 0) + amount
        now_s = time.monotonic()
        if now_s - self._said_s.get(reason, -SAY_AGAIN_S) < SAY_AGAIN_S:
            return
        if len(self._said_s) >= REASONS_KEPT:
            self._waiting, self._said_s = {reason: self._waiting[reason]}, {}
        self._said_s[reason] = now_s
        log.warning("%s", text(self._waiting.pop(reason)))


class ApplicationLoop:
    """Runs until its source ends, it fails, or it is cancelled; serving does not depend on it."""

    def __init__(self, application: Application, inference: Inference, manifest: Manifest, variant: str) -> None:
        self._application = application
        self._inference = inference
        self._manifest = manifest
        self._variant = variant
        self._rules = [RuleState(rule) for rule in application.rules]
        self._sinks: list[Sink] = []
        self._broken_sinks: set[int] = set()
        self._drops = SeldomLog()

    async def run(self, data_folder: Path, emit: Callable[[FromWorker], None]) -> None:
        """Take every item of the source; what happens is told through `emit`."""
        try:
            self._check()
            with ExitStack() as stack:
                source = open_source(self._application.source, self._inference.engine.spec, data_folder)
                for document in self._application.sinks:
                    sink = open_sink(document, data_folder)
                    stack.callback(sink.close)
                    self._sinks.append(sink)
                async with aclosing(source.items()) as items:
                    async for item in items:
                        await self._take(item, emit)
        except SourceError as error:
            log.error("the application %s stops: %s", self._application.name, error)  # noqa: TRY400
            emit(SourceEnded(str(error), failed=True))
            return
        emit(SourceEnded("the source came to its end"))

    def _check(self) -> None:
        model = self._manifest.name
        if self._application.model != model:
            raise SourceError(
                f"the application {self._application.name} is for the model {self._application.model}, this slot runs {model}"
            )
        if self._application.capture != CapturePolicy():
            log.warning("this agent version keeps no samples: the capture policy of %s is not followed", self._application.name)

    async def _take(self, item: Item, emit: Callable[[FromWorker], None]) -> None:
        if isinstance(item, SourceSample):
            await self._answer(item, emit)
        elif isinstance(item, SourceDropped):
            for _ in range(item.amount):
                self._inference.recorder.record_drop()
            self._drops.tell(item.reason, item.amount, lambda amount: f"{item.name} was dropped: {item.reason}{_more(amount - 1)}")
        else:
            log.warning("%s", item.text)
            emit(SourceEnded(item.text, failed=True) if item.failed else SourceSaid(item.text))

    async def _answer(self, item: SourceSample, emit: Callable[[FromWorker], None]) -> None:
        recorder = self._inference.recorder
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        try:
            prediction = await self._inference.predict(item.sample)
        except (InputError, InferenceError, QueueFullError) as error:
            reason, name = str(error), item.name
            self._drops.tell(reason, 1, lambda amount: f"{name} got no answer: {reason}{_more(amount - 1)}")
            if isinstance(error, InputError):
                recorder.record_drop()
            return
        now_s = loop.time()
        if self._application.deadline_ms and (now_s - begun_s) * 1000 > self._application.deadline_ms:
            recorder.record_deadline_miss()
        self._write(item.name, prediction)
        if prediction.accepted:
            for firing in take_all(self._rules, prediction.label, prediction.score, now_s):
                emit(self._event(firing, prediction))

    def _write(self, name: str, prediction: Prediction) -> None:
        record = Record(
            at=utc_now(),
            source=name,
            label=prediction.label,
            score=round(prediction.score, 6),
            accepted=prediction.accepted,
            scores=[round(float(score), 6) for score in prediction.scores],
            latency_ms=round(prediction.latency_us / 1000, 3),
            model=self._manifest.name,
            version=self._manifest.version,
            variant=self._variant,
            application=self._application.name,
        )
        for index, sink in enumerate(self._sinks):
            self._write_to(index, sink, record)

    def _write_to(self, index: int, sink: Sink, record: Record) -> None:
        """A broken sink is said once and tried again with every record."""
        try:
            sink.write(record)
        except SinkError as error:
            if index not in self._broken_sinks:
                log.error("records are lost: %s", error)  # noqa: TRY400
            self._broken_sinks.add(index)
        else:
            self._broken_sinks.discard(index)

    def _event(self, firing: Firing, prediction: Prediction) -> RuleFired:
        data: dict[str, str | int | float] = {
            "application": self._application.name,
            "label": prediction.label,
            "score": round(prediction.score, 6),
            "count": firing.count,
            "within_s": round(firing.within_s, 3),
        }
        return RuleFired(utc_now(), firing.text, data)


def _more(amount: int) -> str:
    return f" (and {amount} more)" if amount else ""
