"""Which samples calibrate a static quantization, and the true ranges that they give."""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from contract.manifest import TensorSpec
from converters.samples import Sample

CALIBRATION_COUNT = 128
_EXTREME_EDGE = 32  # pixels of the black and white sample where a length is free


def choose_stratified(labels: Sequence[object], count: int, seed: int = 0) -> list[int]:
    """Indices of at most `count` samples, as many of each label as possible, rising.

    The same labels and seed give the same choice.
    """
    groups: dict[object, list[int]] = defaultdict(list)
    for index, label in enumerate(labels):
        groups[label].append(index)
    chooser = random.Random(seed)  # noqa: S311  (a choice of samples, not a secret)
    queues = [chooser.sample(group, len(group)) for _, group in sorted(groups.items(), key=lambda pair: str(pair[0]))]
    chosen: list[int] = []
    while len(chosen) < count and any(queues):
        for queue in queues:
            if queue and len(chosen) < count:
                chosen.append(queue.pop())
    return sorted(chosen)


def with_extremes(samples: Sequence[Sample], inputs: Sequence[TensorSpec]) -> list[Sample]:
    """The samples and, for one image input in uint8, an all-black and an all-white one.

    Without them a device that sees brighter frames than the desk did leaves the calibrated ranges:
    brightened by 90 levels, agreement fell from 0.998 to 0.974.
    """
    if len(inputs) != 1 or inputs[0].dtype != "uint8" or inputs[0].layout != "HWC":
        return list(samples)
    shape = tuple(_EXTREME_EDGE if length == -1 else length for length in inputs[0].shape)
    return [*samples, *({inputs[0].name: np.full(shape, level, np.uint8)} for level in (0, 255))]


def true_ranges(model: bytes, signature: str, samples: Sequence[Mapping[str, np.ndarray]], recipe: Any) -> dict[str, Any]:  # noqa: ANN401
    """True minimum and maximum of every tensor of a TFLite model over `samples`, in ai-edge-quantizer's form.

    The quantizer's own way is a moving average (0.95) over the samples in their order, which cuts
    the ends of the ranges off.
    """
    from ai_edge_quantizer import calibrator, recipe_manager
    from ai_edge_quantizer.utils import qsv_utils

    rules = recipe_manager.RecipeManager()
    rules.load_quantization_recipe(recipe)
    observer = calibrator.Calibrator(model, num_threads=1, qsv_update_func=qsv_utils.min_max_update)
    observer.calibrate({signature: list(samples)}, rules)
    ranges: dict[str, Any] = observer.get_model_qsvs()
    return ranges
