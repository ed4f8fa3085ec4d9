"""Every variant runs over the evaluation samples through the engine that devices use; here that is measured."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from contract.manifest import Variant, VariantEvaluation
from converters.errors import ConversionError
from converters.footprint import Latency, measure_latency
from converters.parity import Parity, accuracy, compare, recall_by_class
from converters.preprocessing import SCORES
from converters.quiet import quiet
from converters.samples import EvaluationSet, Sample
from edge_agent.engine.engine import open_variant
from edge_agent.engine.errors import EngineError
from edge_agent.engine.model_spec import ModelSpec

LATENCY_SAMPLES = 16


class Measured:
    """What one variant answered, (N, C) float32, and how fast."""

    def __init__(self, scores: np.ndarray, latency: Latency) -> None:
        self.scores = scores
        self.latency = latency


def measure(file: Path, variant: Variant, spec: ModelSpec, samples: Sequence[Sample]) -> Measured:
    """Run a variant over all samples, one by one, and time it.

    Raises:
        ConversionError: the engine refuses the file or fails on a sample.
    """
    try:
        with quiet(), open_variant(file, variant, spec) as engine:
            scores = [engine.run(sample)[SCORES] for sample in samples]
            latency = measure_latency(engine, samples[:LATENCY_SAMPLES])
    except EngineError as error:
        raise ConversionError(f"the engine does not run {file.name}: {error}") from error
    return Measured(np.stack(scores).astype(np.float32, copy=False), latency)


def evaluate(measured: Measured, reference: Measured, evaluation: EvaluationSet, spec: ModelSpec) -> tuple[VariantEvaluation, Parity]:
    """What is written about a variant: accuracy where there are labels, else the agreement with the reference."""
    parity = compare(reference.scores, measured.scores)
    metric, score, change, class_change = "agreement", parity.agreement, 0.0, {}
    if evaluation.labels is not None:
        metric, score = "accuracy", accuracy(measured.scores, evaluation.labels)
        change = score - accuracy(reference.scores, evaluation.labels)
        before = recall_by_class(reference.scores, evaluation.labels, spec.labels)
        after = recall_by_class(measured.scores, evaluation.labels, spec.labels)
        class_change = {name: after[name] - before[name] for name in before}
    result = VariantEvaluation(
        metric=metric,
        score=score,
        samples=len(evaluation.samples),
        change=change,
        parity=parity.difference,
        agreement=parity.agreement,
        latency_p50_ms=measured.latency.p50_ms,
        latency_p95_ms=measured.latency.p95_ms,
        class_change=class_change,
    )
    return result, parity
