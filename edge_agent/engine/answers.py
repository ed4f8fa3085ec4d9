"""A prediction in the form that people get it: from the endpoint, from the batch predictor, in the studio."""

import msgspec

from contract.manifest import Manifest
from edge_agent.engine.engine import Prediction


class Answer(msgspec.Struct, frozen=True):
    """`scores` are in the order of the model's labels; `accepted` says whether `score` reaches the threshold."""

    model_name: str
    model_version: str
    variant: str
    label: str
    index: int
    score: float
    accepted: bool
    scores: list[float]
    latency_ms: float


def answer_of(prediction: Prediction, manifest: Manifest, variant: str) -> Answer:
    """The prediction of one variant of a version."""
    return Answer(
        model_name=manifest.name,
        model_version=str(manifest.version),
        variant=variant,
        label=prediction.label,
        index=prediction.index,
        score=prediction.score,
        accepted=prediction.accepted,
        scores=prediction.scores.tolist(),
        latency_ms=round(prediction.latency_us / 1000, 4),
    )
