"""Train a network on images that lie in memory, with Lightning; resume where a checkpoint was left."""

import logging
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from desktop_app.jobs.context import JobContext
from desktop_app.training.architectures import ARCHITECTURES
from desktop_app.training.events import EpochPoint
from desktop_app.training.recipe import Recipe, label_permutation
from desktop_app.training.runs import CHECKPOINTS_FOLDER, LAST_NAME

VALIDATION_BATCH = 256
DEVIATION_MIN = 1.0  # of 255: a constant channel is not blown up


class ImageSplit(NamedTuple):
    """Images uint8 (N, h, w, 3) RGB and labels int64 (N,), as indices of the label set."""

    images: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class NetworkData:
    """What a network learns from; `validation` may be empty."""

    train: ImageSplit
    validation: ImageSplit
    classes: int


def permuted(split: ImageSplit, seed: int | None, classes: int) -> ImageSplit:
    """The split with its labels exchanged by a fault-injection seed, or as it is."""
    if seed is None:
        return split
    taught = np.asarray(label_permutation(seed, classes), dtype=np.int64)
    return ImageSplit(split.images, taught[split.labels])


def pixel_statistics(images: np.ndarray, limit: int = 4096) -> tuple[list[float], list[float]]:
    """Mean and deviation of each channel over at most `limit` images evenly chosen, in grey levels 0 to 255."""
    chosen = images[:: max(1, len(images) // limit)]
    flat = chosen.reshape(-1, 3)
    mean = flat.mean(axis=0, dtype=np.float64)
    square = np.square(flat.astype(np.float32)).mean(axis=0, dtype=np.float64)
    deviation = np.sqrt(np.maximum(square - mean**2, DEVIATION_MIN**2))
    return [float(v) for v in mean], [float(v) for v in deviation]


def build_network(recipe: Recipe, classes: int, mean: list[float], deviation: list[float]):  # type: ignore[no-untyped-def]  # noqa: ANN201
    """The untrained `ImageNetwork` of a recipe, initialised from its seed."""
    import torch

    from desktop_app.training.layers import ImageNetwork

    side = int(recipe.options["input_size"])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        body = ARCHITECTURES[recipe.architecture].build(recipe.options, classes=classes, size=(side, side))
    return ImageNetwork(body, mean, deviation)


def train_network(folder: Path, recipe: Recipe, data: NetworkData, context: JobContext) -> list[EpochPoint]:
    """Train to the recipe's last epoch; the best weights lie in `checkpoints/best.npz` then.

    Goes on from `checkpoints/last.ckpt` if there is one. Returns the points of all epochs.
    """
    import torch

    from desktop_app.training.classifier import Classifier
    from desktop_app.training.loader import Batches, Order
    from desktop_app.training.watch import RunWatch

    torch.set_num_threads(recipe.threads)
    train = permuted(data.train, recipe.label_permutation_seed, data.classes)
    validation = permuted(data.validation, recipe.label_permutation_seed, data.classes)
    batches = Batches(train.images, train.labels, Order(len(train.labels), recipe.seed), recipe.batch_size)
    module = Classifier(
        build_network(recipe, data.classes, *pixel_statistics(train.images)),
        recipe,
        classes=data.classes,
        steps=recipe.epochs * len(batches),
    )
    watch = RunWatch(folder, recipe.epochs, context)
    last = folder / CHECKPOINTS_FOLDER / LAST_NAME
    _fit(module, batches, _in_order(validation), watch, last if last.is_file() else None)
    return watch.points


def _in_order(split: ImageSplit):  # type: ignore[no-untyped-def]  # noqa: ANN202
    """The validation batches, always the same; None where there are none."""
    from desktop_app.training.loader import Batches, FixedOrder

    count = len(split.labels)
    return Batches(split.images, split.labels, FixedOrder(count, 0), VALIDATION_BATCH) if count else None


def _fit(module, batches, validation, watch, checkpoint: Path | None) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Lightning's trainer, silent and without files of its own."""
    from desktop_app.training.lightning_imports import Trainer
    from desktop_app.training.watch import WholeCheckpoints

    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        trainer = Trainer(
            accelerator="cpu",
            devices=1,
            max_epochs=module.recipe.epochs,
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[watch],
            plugins=[WholeCheckpoints()],
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            deterministic=True,
            default_root_dir=str(checkpoint.parent if checkpoint else "."),
        )
        trainer.fit(module, batches, validation, ckpt_path=str(checkpoint) if checkpoint else None, weights_only=True)
