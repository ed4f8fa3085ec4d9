"""An application at work: source, model, rules, sinks."""

import asyncio
import difflib
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import TYPE_CHECKING

from contract.application import Application
from contract.codec import utc_now
from contract.manifest import Manifest
from contract.messages import DEFAULT_SLOT
from edge_agent.capture.field_samples import FieldSamples, open_field_samples
from edge_agent.engine.engine import Prediction
from edge_agent.engine.errors import InferenceError, InputError
from edge_agent.engine.model_spec import DEFAULT_THRESHOLD
from edge_agent.last_good_settings import load_settings_in_force
from edge_agent.owner_functions import OwnerFunctionError, find_function
from edge_agent.settings import Settings, SettingsError
from edge_agent.sinks.callback import register_callback
from edge_agent.sinks.sink import Record, Sink, SinkError, SinkHealth, offer
from edge_agent.sinks.table import SINKS, open_sink
from edge_agent.sources.source import Item, Source, SourceDropped, SourceError, SourceSample
from edge_agent.worker.inference import Inference, QueueFullError
from edge_agent.worker.messages import FromWorker, RuleFired, SourceEnded, SourceSaid
from edge_agent.worker.rules import Firing, RuleState, take_all
from edge_agent.worker.seldom_log import SeldomLog
from edge_agent.worker.sink_watch import SinkWatch

if TYPE_CHECKING:
    from edge_agent.frames.frame_source import FrameSource

log = logging.getLogger(__name__)


class ApplicationLoop:
    """Runs until its source ends, it fails, or it is cancelled; serving does not depend on it."""

    def __init__(
        self,
        application: Application,
        inference: Inference,
        manifest: Manifest,
        variant: str,
        slot: str = DEFAULT_SLOT,
        *,
        frames: int = -1,
    ) -> None:
        """`frames`: the descriptor of a capture process's doorbell; -1: the source is opened here."""
        self._application = application
        self._inference = inference
        self._manifest = manifest
        self._variant = variant
        self._slot = slot
        self._frames = frames
        self._source: FrameSource | None = None
        self._leaving = False
        self._rules: list[RuleState] = []
        self._sinks: list[tuple[Sink, bool]] = []  # and whether it takes only what fired a rule
        self._field_samples: FieldSamples | None = None
        self._drops = SeldomLog()

    async def run(self, data_folder: Path, emit: Callable[[FromWorker], None]) -> None:
        """Take every item of the source; what happens is told through `emit`."""
        try:
            self._check()
            async with AsyncExitStack() as stack:
                source = await self._open_source(stack, data_folder)
                await self._open_sinks(stack, data_folder, emit)
                async with aclosing(source.items()) as items:
                    async for item in items:
                        await self._take(item, emit)
        except (SourceError, SettingsError) as error:
            log.error("the application %s stops: %s", self._application.name, error)  # noqa: TRY400
            emit(SourceEnded(str(error), failed=True))
            return
        if not self._leaving:
            emit(SourceEnded("the source came to its end"))

    def leave(self) -> bool:
        """Let `run` end after the frame that it has, if another worker gets the next one; False where there is nothing to hand on."""
        if self._source is None:
            return False
        self._leaving = True
        self._source.leave()
        return True

    def sinks(self) -> list[SinkHealth]:
        """How each of them does."""
        return [sink.health for sink, _ in self._sinks]

    async def _open_source(self, stack: AsyncExitStack, data_folder: Path) -> Source:
        if self._frames >= 0:
            from edge_agent.frames.frame_source import FrameSource  # not for every system

            self._source = FrameSource(self._frames)
            stack.callback(self._source.close)
            return self._source
        from edge_agent.sources.table import open_source

        return await asyncio.to_thread(open_source, self._application.source, self._inference.engine.spec, data_folder)

    async def _open_sinks(self, stack: AsyncExitStack, data_folder: Path, emit: Callable[[FromWorker], None]) -> None:
        """Open sinks and field samples, on a thread: a pin or a disk may take a second; so may what is left to say at the end."""
        settings, watch = load_settings_in_force(data_folder), SinkWatch(emit)
        stack.callback(watch.close)
        for document in self._application.sinks:
            if document.kind == "callback":
                self._register_callback(str(document.options.get("name", "")), settings, data_folder)
            sink = await asyncio.to_thread(open_sink, document, data_folder)
            stack.push_async_callback(asyncio.to_thread, sink.close)
            watch.add(sink.health, SINKS[document.kind].advice)
            self._sinks.append((sink, document.on == "rules"))
        self._field_samples = open_field_samples(self._application, settings, data_folder, self._slot)
        if self._field_samples is not None:
            stack.push_async_callback(asyncio.to_thread, self._field_samples.close)

    @staticmethod
    def _register_callback(name: str, settings: Settings, data_folder: Path) -> None:
        if name not in settings.callbacks:
            return
        try:
            register_callback(name, find_function(settings.callbacks[name], data_folder))
        except OwnerFunctionError as error:
            raise SinkError(f"the callback {name}: {error}") from error

    def _check(self) -> None:
        """Refuse what could never work, rather than run and wait for ever."""
        model, labels = self._manifest.name, self._manifest.labels
        if self._application.model != model:
            raise SourceError(
                f"the application {self._application.name} is for the model {self._application.model}, this slot runs {model}"
            )
        for what, label in _labels_named(self._application):
            if label not in labels:
                close = difflib.get_close_matches(label, labels, n=1)
                hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(labels)[:200]}"
                raise SourceError(
                    f"the application {self._application.name} has a {what} for {label!r}, a label that {model} does not have; {hint}"
                )
        self._rules = [RuleState(rule, labels) for rule in self._application.rules]

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
            prediction = await self._inference.predict(item.sample, source=item.name)
        except (InputError, InferenceError, QueueFullError) as error:
            reason, name = str(error), item.name
            self._drops.tell(reason, 1, lambda amount: f"{name} got no answer: {reason}{_more(amount - 1)}")
            if isinstance(error, InputError):
                recorder.record_drop()
            return
        now_s = loop.time()
        if self._application.deadline_ms and (now_s - begun_s) * 1000 > self._application.deadline_ms:
            recorder.record_deadline_miss()
        firings = take_all(self._rules, prediction, now_s)
        record = self._record(item.name, prediction, firings)
        for sink, only_fired in self._sinks:
            if firings or not only_fired:
                offer(sink, record)
        for firing in firings:
            emit(self._event(firing, prediction))
        if self._field_samples is not None:
            self._field_samples.offer(item.sample, record, now_s)

    def _record(self, name: str, prediction: Prediction, firings: Sequence[Firing]) -> Record:
        return Record(
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
            rule="; ".join(firing.text for firing in firings),
        )

    def _event(self, firing: Firing, prediction: Prediction) -> RuleFired:
        data: dict[str, str | int | float] = {
            "application": self._application.name,
            "label": prediction.label,
            "score": round(prediction.score, 6),
            "count": firing.count,
            "within_s": round(firing.within_s, 3),
        }
        return RuleFired(utc_now(), firing.text, data)


def _labels_named(application: Application) -> Iterator[tuple[str, str]]:
    yield from (("threshold", label) for label in application.thresholds if label != DEFAULT_THRESHOLD)
    yield from (("rule", rule.label) for rule in application.rules if rule.label)


def _more(amount: int) -> str:
    return f" (and {amount} more)" if amount else ""
