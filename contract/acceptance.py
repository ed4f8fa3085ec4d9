"""The acceptance set of a registered model: labelled samples and a minimum score, kept apart from every version."""

import math
from typing import Annotated, ClassVar

import msgspec

from contract.codec import encode
from contract.files import sha256_of
from contract.manifest import FileEntry, Id


class AcceptanceSet(msgspec.Struct, frozen=True):
    """A TUF target of its own, signed by the model's owner.

    `samples` is an `.npz` with `golden_input_key(i, input)` per raw input and `labels`, int64 (N,),
    the index of the right class in the label set named by `label_set_digest`.
    """

    SCHEMA_VERSION: ClassVar[int] = 1

    schema_version: int
    model: Id
    task: str
    label_set_digest: str
    samples: FileEntry
    count: Annotated[int, msgspec.Meta(ge=1, le=100_000)]
    metric: str
    minimum_score: Annotated[float, msgspec.Meta(ge=0, le=1)]
    desk_score: float
    margin: float


def label_set_digest(labels: tuple[str, ...] | list[str]) -> str:
    """SHA-256 over the label set in its order."""
    return sha256_of(encode(list(labels)))


def minimum_score(desk_score: float, count: int, z: float = 3.0) -> float:
    """The minimum for a set of `count` samples on which the desk scored `desk_score` (0 to 1).

    Three standard errors of a proportion below the desk's score (with at least half a sample of
    error assumed), so that about one good version in a thousand is refused, not one in eight.
    """
    share = min(max(desk_score, 0.5 / count), 1 - 0.5 / count)
    return max(0.0, desk_score - max(z * math.sqrt(share * (1 - share) / count), 2 / count))
