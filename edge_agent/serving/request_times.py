"""How long inference requests took, and where: for the statistics extension and `/metrics`."""

import bisect
import time

from contract.sketches import LATENCY_BOUNDS_US, Histogram


class RequestTimes:
    """Sums in nanoseconds since the start of the worker. A request is received whole before its time begins."""

    def __init__(self) -> None:
        self.succeeded = self.failed = 0
        self.succeeded_ns = self.failed_ns = 0
        self.queue_ns = self.input_ns = self.infer_ns = self.output_ns = 0
        self.inferences = 0
        self.last_inference_ms = 0
        self.durations_us = Histogram.empty(LATENCY_BOUNDS_US)

    def record(self, marks_ns: tuple[int, int, int, int], infer_ns: int, inferences: int = 1) -> None:
        """Count an answered request by when it began, was decoded, was predicted, was encoded; the rest of the middle is queue."""
        begun, decoded, predicted, encoded = marks_ns
        total = encoded - begun
        self.succeeded += 1
        self.inferences += inferences
        self.succeeded_ns += total
        self.input_ns += decoded - begun
        self.infer_ns += infer_ns
        self.queue_ns += max(0, predicted - decoded - infer_ns)
        self.output_ns += encoded - predicted
        self.last_inference_ms = int(time.time() * 1000)
        micros = total / 1000
        durations = self.durations_us
        durations.counts[bisect.bisect_left(LATENCY_BOUNDS_US, micros)] += 1
        durations.total += micros

    def record_failure(self, total_ns: int) -> None:
        """Count a request that got an error."""
        self.failed += 1
        self.failed_ns += total_ns
