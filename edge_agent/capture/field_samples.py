"""Keeps field samples beside the application: chosen at once, redacted, encoded and written on a thread of its own.

Two locks: the application's capture policy and the device's own `capture_samples`. A redaction hook
sees every sample first; where it fails, or gives nothing, the sample is not kept.
"""

import logging
import queue
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from contract.application import Application
from contract.samples import FieldSample
from edge_agent.capture.choice import HourlyLimit, draw, reason_to_keep
from edge_agent.capture.sample_encoding import encode_sample
from edge_agent.capture.store import CAPTURED_FOLDER, FieldSampleStore
from edge_agent.capture.wish import ASKED, WishWatch
from edge_agent.owner_functions import OwnerFunctionError, find_function
from edge_agent.settings import Settings
from edge_agent.sinks.sink import Record

if TYPE_CHECKING:
    import numpy as np

WAITING = 4
CLOSE_S = 1.0

Sample = Mapping[str, "np.ndarray"]
Redact = Callable[[dict[str, Any], dict[str, Any]], "Sample | None"]

log = logging.getLogger(__name__)


class _Chosen(NamedTuple):
    sample: Sample
    line: FieldSample


class FieldSamples:
    """See the module; made by `open_field_samples`."""

    def __init__(self, application: Application, store: FieldSampleStore, per_hour: int, redact: Redact | None) -> None:
        """Starts the thread."""
        self._application = application
        self._store = store
        self._limit = HourlyLimit(per_hour)
        self._redact = redact
        self._said = ""
        self.wish: WishWatch | None = None
        self._waiting: queue.Queue[_Chosen | None] = queue.Queue(WAITING)
        self._thread = threading.Thread(target=self._run, name="field-samples", daemon=True)
        self._thread.start()

    def offer(self, sample: Sample, record: Record, now_s: float) -> bool:
        """Keep the sample of a record if the policy says so; costs microseconds, never blocks. Returns whether it was chosen."""
        application = self._application
        key = f"{application.name}:{application.version}:{record.source}"
        reason = reason_to_keep(application.capture, record.score, key) or self._reason_to_wish(key, now_s)
        if not reason:
            return False
        fields = {name: getattr(record, name) for name in ("at", "model", "version", "variant", "source", "label", "score", "scores")}
        line = FieldSample(
            FieldSample.SCHEMA_VERSION, application=application.name, application_version=application.version, reason=reason, **fields
        )
        return self.keep(sample, line, now_s)

    def _reason_to_wish(self, key: str, now_s: float) -> str:
        share = self.wish.share(now_s) if self.wish is not None else 0.0
        return ASKED if share > 0 and draw(self._application.capture.seed, key) < share else ""

    def keep(self, sample: Sample, line: FieldSample, now_s: float) -> bool:
        """Keep a chosen sample if the pace allows it and the writer has room; never blocks."""
        if self._waiting.full() or not self._limit.allows(now_s):
            return False
        try:
            self._waiting.put_nowait(_Chosen({name: array.copy() for name, array in sample.items()}, line))  # the slot is needed again
        except queue.Full:
            return False
        return True

    def close(self) -> None:
        """Write what waits, then end."""
        try:
            self._waiting.put(None, timeout=CLOSE_S)
        except queue.Full:
            log.warning("field samples were still being written at the end")
        self._thread.join(CLOSE_S)

    def _run(self) -> None:
        while (chosen := self._waiting.get()) is not None:
            self._try_to_keep(chosen)

    def _try_to_keep(self, chosen: _Chosen) -> None:
        try:
            self._keep(chosen)
        except Exception as error:  # noqa: BLE001  (the owner's hook may raise anything; losing a sample is no reason to stop)
            self._say(f"a field sample was not kept: {type(error).__name__}: {error}")

    def _keep(self, chosen: _Chosen) -> None:
        sample: Sample | None = chosen.sample
        if self._redact is not None:
            copies = {name: array.copy() for name, array in chosen.sample.items()}
            sample = self._redact(copies, msgspec.to_builtins(chosen.line))
        if not sample:
            return
        encoded = encode_sample(sample)
        if self._store.add(encoded.data, encoded.suffix, chosen.line) is None:
            self._say(f"a field sample of {len(encoded.data)} bytes is larger than what may be kept in all")

    def _say(self, text: str) -> None:
        if text != self._said:
            log.warning("%s", text)
        self._said = text


def open_field_samples(application: Application, settings: Settings, data_folder: Path, slot: str) -> FieldSamples | None:
    """What an application keeps here by itself, and the operator's wish adds; None where the device allows none, or nothing is wanted."""
    policy = application.capture
    if policy.below_score <= 0 and policy.random_share <= 0 and not settings.capture_samples:
        return None
    samples = open_keeper(application, settings, data_folder, slot)
    if samples is not None:
        samples.wish = WishWatch(data_folder, slot)
    return samples


def open_keeper(application: Application, settings: Settings, data_folder: Path, slot: str) -> FieldSamples | None:
    """What keeps samples that were chosen; None where the device does not allow it."""
    policy = application.capture
    max_bytes = min(policy.max_bytes or settings.capture_max_bytes, settings.capture_max_bytes)
    if not settings.capture_samples:
        log.info("%s wants to keep samples; this device does not allow it (capture_samples in config.json)", application.name)
        return None
    try:
        redact = find_function(settings.redaction_hook, data_folder) if settings.redaction_hook else None
        store = FieldSampleStore(data_folder / CAPTURED_FOLDER / slot, max_bytes)
    except (OwnerFunctionError, OSError) as error:
        log.error("no samples are kept: %s", error)  # noqa: TRY400  (the application runs on)
        return None
    return FieldSamples(application, store, settings.capture_per_hour, redact)
