"""`/metrics`: what the worker counts, in the text format of Prometheus, version 0.0.4.

Format: https://prometheus.io/docs/instrumenting/exposition_formats/. Counters begin at 0 with each worker, as
Prometheus expects of a process that starts anew.
"""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from contract.manifest import Manifest
from contract.sketches import Histogram
from edge_agent.serving.request_times import RequestTimes
from edge_agent.serving.traffic import Traffic
from edge_agent.worker.inference import Inference

if TYPE_CHECKING:
    from edge_agent.sinks.sink import SinkHealth

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_EVERY = 3
"""Of the histogram's 73 bounds each third is given: a quantile is right within a factor of 2."""

_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})
Samples = Iterator[tuple[str, Mapping[str, str], float]]


class Metrics:
    """Everything that `/metrics` shows of one worker."""

    def __init__(self, inference: Inference, times: RequestTimes, traffic: Traffic, manifest: Manifest, variant: str) -> None:
        self.sinks: Callable[[], Iterable[SinkHealth]] = tuple  # those of the application, where it has one
        self._inference = inference
        self._times = times
        self._traffic = traffic
        self._manifest = manifest
        self._model = {"model": manifest.name, "version": str(manifest.version)}
        self._variant = variant
        self._started_s = time.time()

    def render(self) -> bytes:
        """The whole text."""
        return "".join(itertools.chain(self._about(), self._inferences(), self._requests(), self._records())).encode()

    def _about(self) -> Iterator[str]:
        info = {**self._model, "variant": self._variant, "task": self._manifest.task}
        yield family("eyelet_model_info", "gauge", "The model version that is served.", one(1, info))
        yield family("process_start_time_seconds", "gauge", "Start of the worker, seconds since 1970.", one(round(self._started_s, 3)))
        yield family("eyelet_queue_depth", "gauge", "Requests that wait for the model.", one(self._inference.queue_depth, self._model))
        yield family("eyelet_queue_limit", "gauge", "Requests that may wait.", one(self._inference.queue_length, self._model))
        yield family("eyelet_http_connections", "gauge", "Open connections.", one(len(self._traffic.connections)))

    def _inferences(self) -> Iterator[str]:
        totals, model = self._inference.recorder.totals(), self._model
        yield family("eyelet_inferences_total", "counter", "Inferences that were answered.", one(totals.latency_us.count, model))
        yield family("eyelet_inference_errors_total", "counter", "Inferences in which the runtime failed.", one(totals.errors, model))
        yield family("eyelet_dropped_total", "counter", "Samples that never reached the model.", one(totals.dropped, model))
        yield family("eyelet_deadline_misses_total", "counter", "Answers that came too late.", one(totals.deadline_misses, model))
        by_label = zip(self._manifest.labels, totals.classes, strict=True)
        yield family(
            "eyelet_predictions_total",
            "counter",
            "Inferences by label.",
            (("", {**model, "label": label}, number) for label, number in by_label),
        )
        yield family(
            "eyelet_inference_duration_seconds", "histogram", "Time of the model alone.", histogram_samples(totals.latency_us, model)
        )

    def _requests(self) -> Iterator[str]:
        times, model = self._times, self._model
        yield family(
            "eyelet_request_duration_seconds",
            "histogram",
            "Time of an answered inference request, from its last byte on.",
            histogram_samples(times.durations_us, model),
        )
        yield family("eyelet_request_queue_seconds_total", "counter", "Time that requests waited.", one(times.queue_ns / 1e9, model))
        yield family("eyelet_request_failures_total", "counter", "Inference requests that got an error.", one(times.failed, model))
        answers = sorted(self._traffic.answers.items())
        yield family(
            "eyelet_http_responses_total", "counter", "Answers by HTTP code.", (("", {"code": str(code)}, count) for code, count in answers)
        )

    def _records(self) -> Iterator[str]:
        """What the application's sinks took; nothing where there are none."""
        counted = [({"number": str(number), "sink": health.name}, health) for number, health in enumerate(self.sinks())]
        if not counted:
            return
        offered = (("", labels, health.offered) for labels, health in counted)
        yield family("eyelet_records_total", "counter", "Records that an application gave to a sink.", offered)
        lost = (("", labels, health.lost) for labels, health in counted)
        yield family("eyelet_records_lost_total", "counter", "Records that a sink could not take.", lost)
        waiting = (("", labels, len(health.queue)) for labels, health in counted)
        yield family("eyelet_records_waiting", "gauge", "Records that wait to be sent.", waiting)


def one(value: float, labels: Mapping[str, str] | None = None) -> Samples:
    """A family's only sample."""
    yield "", labels or {}, value


def histogram_samples(histogram: Histogram, labels: Mapping[str, str]) -> Samples:
    """Cumulated buckets in seconds, with sum and count, from a histogram in microseconds."""
    seen = list(itertools.accumulate(histogram.counts))
    for index in range(_EVERY - 1, len(histogram.bounds), _EVERY):
        yield "_bucket", {**labels, "le": f"{histogram.bounds[index] / 1e6:.6g}"}, seen[index]
    yield "_bucket", {**labels, "le": "+Inf"}, seen[-1]
    yield "_sum", labels, histogram.total / 1e6
    yield "_count", labels, seen[-1]


def family(name: str, kind: str, words: str, samples: Samples) -> str:
    """One metric with its help, type and samples."""
    lines = [f"# HELP {name} {words}\n# TYPE {name} {kind}\n"]
    for suffix, labels, value in samples:
        inner = ",".join(f'{key}="{text.translate(_ESCAPES)}"' for key, text in labels.items())
        lines.append(f"{name}{suffix}{{{inner}}} {value}\n" if inner else f"{name}{suffix} {value}\n")
    return "".join(lines)
