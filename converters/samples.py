"""Samples for calibration and evaluation: raw model inputs by name, as the engine takes them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from converters.errors import SamplesError

Sample: TypeAlias = Mapping[str, np.ndarray]
"""Raw inputs by name, without a batch axis."""


@dataclass(frozen=True)
class EvaluationSet:
    """Samples on which variants are compared; without `labels` only their agreement can be measured.

    `labels` are indices into the model's label set, one per sample.
    """

    samples: Sequence[Sample]
    labels: Sequence[int] | None = None

    def __post_init__(self) -> None:
        """Refuse labels that do not belong to the samples.

        Raises:
            SamplesError: another number of labels than samples.
        """
        if self.labels is not None and len(self.labels) != len(self.samples):
            raise SamplesError(f"{len(self.samples)} evaluation samples came with {len(self.labels)} labels")
