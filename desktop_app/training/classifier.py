"""How a network learns to classify: loss, optimizer and schedule as a Lightning module."""

import math
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from desktop_app.training.augmentation import augment
from desktop_app.training.layers import ImageNetwork
from desktop_app.training.lightning_imports import LightningModule, MeanMetric, MulticlassAccuracy
from desktop_app.training.loader import Batch
from desktop_app.training.recipe import Recipe

WARM_UP_SHARE = 0.25
BEGIN_SHARE = 0.04
END_SHARE = 1e-4


def one_cycle(step: int, total: int) -> float:
    """Share of the highest learning rate at a step: up in the first quarter, then down to almost nothing, both as half cosines.

    After Smith and Topin 2017 (arXiv 1708.07120). PyTorch's own class divides by zero where a run has few steps.
    """
    top = max(1, round(WARM_UP_SHARE * total))
    if step < top:
        return BEGIN_SHARE + (1 - BEGIN_SHARE) * (1 - math.cos(math.pi * step / top)) / 2
    way = min(1.0, (step - top) / max(1, total - top))
    return END_SHARE + (1 - END_SHARE) * (1 + math.cos(math.pi * way)) / 2


class Classifier(LightningModule):  # type: ignore[misc]  # lightning is not typed for mypy here
    """Trains `network` by a recipe; batches are (uint8 (B, h, w, 3), int64 (B,)).

    After each epoch `epoch_figures()` gives its mean losses and the validation accuracy.
    """

    def __init__(self, network: ImageNetwork, recipe: Recipe, *, classes: int, steps: int) -> None:
        super().__init__()
        self.network = network
        self.recipe = recipe
        self.total_steps = steps
        self.train_loss = MeanMetric()
        self.validation_loss = MeanMetric()
        self.validation_accuracy = MulticlassAccuracy(num_classes=classes, average="micro")

    def training_step(self, batch: Batch, _index: int) -> torch.Tensor:
        """Mean cross-entropy of one augmented batch."""
        images, labels = batch
        images = augment(images, self.recipe.augmentation, self.step_generator())
        loss = cross_entropy(self.network(images.float()), labels, label_smoothing=self.recipe.label_smoothing)
        self.train_loss.update(loss.detach(), weight=len(labels))
        return loss

    def step_generator(self) -> torch.Generator:
        """Randomness that depends on the seed and the step alone, so that a resume repeats it."""
        return torch.Generator().manual_seed(self.recipe.seed * 1_000_003 + int(self.global_step))

    def validation_step(self, batch: Batch, _index: int) -> None:
        """Count one validation batch."""
        images, labels = batch
        logits = self.network(images.float())
        self.validation_loss.update(cross_entropy(logits, labels), weight=len(labels))
        self.validation_accuracy.update(logits, labels)

    def configure_optimizers(self) -> dict[str, Any]:
        """AdamW with a one-cycle schedule; no decay on norms and offsets."""
        parameters = list(self.network.parameters())
        groups = [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": self.recipe.weight_decay},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=self.recipe.learning_rate)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: one_cycle(step, self.total_steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def epoch_figures(self) -> dict[str, float | None]:
        """Figures of the epoch so far, then start new ones."""
        seen = self.validation_loss.update_called
        figures = {
            "train_loss": float(self.train_loss.compute()),
            "validation_loss": float(self.validation_loss.compute()) if seen else None,
            "validation_accuracy": float(self.validation_accuracy.compute()) if seen else None,
        }
        for metric in (self.train_loss, self.validation_loss, self.validation_accuracy):
            metric.reset()
        return figures
