"""What happens around the batches of a run: cancel, progress, events, and a checkpoint per epoch."""

import time
from pathlib import Path
from typing import Any

import msgspec

from contract.files import atomic_writer
from desktop_app.jobs.context import JobContext
from desktop_app.training.classifier import Classifier
from desktop_app.training.events import EpochPoint, append_event, report_epoch
from desktop_app.training.lightning_imports import Checkpoint, TorchCheckpointIO, Trainer
from desktop_app.training.runs import BEST_NAME, CHECKPOINTS_FOLDER, LAST_NAME, note_epoch
from desktop_app.training.weights import save_weights

PROGRESS_INTERVAL_S = 0.25


class WholeCheckpoints(TorchCheckpointIO):  # type: ignore[misc]  # lightning is not typed for mypy here
    """Writes checkpoints all or nothing, so that a kill while one is written leaves the one before."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: object = None) -> None:  # noqa: ARG002
        """Write to a temporary file, fsync, rename."""
        import torch

        with atomic_writer(Path(path)) as file:
            torch.save(checkpoint, file)


class RunWatch(Checkpoint):  # type: ignore[misc]
    """Lightning's callback for one run.

    At the end of an epoch the order is: the event, the best weights, then `last.ckpt`. A run that
    is killed in between repeats the epoch and writes the same again.
    """

    def __init__(self, folder: Path, epochs: int, context: JobContext) -> None:
        self._folder = folder
        self._epochs = epochs
        self._context = context
        self._best: float | None = None
        self._spent_s = 0.0
        self._epoch_begun = self._shown = time.monotonic()
        self.points: list[EpochPoint] = []

    def state_dict(self) -> dict[str, Any]:
        """What a resume has to know besides the weights; Lightning keeps it in the checkpoint."""
        return {"best": self._best, "points": [msgspec.to_builtins(p) for p in self.points]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up a checkpoint's state."""
        self._best = state_dict["best"]
        self.points = [msgspec.convert(p, EpochPoint) for p in state_dict["points"]]

    def on_train_epoch_start(self, trainer: Trainer, pl_module: Classifier) -> None:  # noqa: ARG002
        """Start the epoch's clock."""
        self._epoch_begun = time.monotonic()

    def on_train_batch_end(self, trainer: Trainer, pl_module: Classifier, outputs: object, batch: object, batch_idx: int) -> None:  # noqa: ARG002
        """Cancel if asked to; report progress four times a second."""
        self._context.check_cancelled()
        now = time.monotonic()
        if now - self._shown >= PROGRESS_INTERVAL_S:
            self._shown = now
            total = int(trainer.num_training_batches)
            done = trainer.current_epoch * total + batch_idx + 1
            self._context.progress(done, self._epochs * total, "batch", self._progress_text(trainer.current_epoch, (batch_idx + 1) / total))

    def on_validation_batch_end(self, trainer: Trainer, *_: object) -> None:  # noqa: ARG002
        """Cancel if asked to."""
        self._context.check_cancelled()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Classifier) -> None:
        """Write the epoch's event, the weights if they are the best, and the checkpoint."""
        point = self._point(trainer, pl_module)
        self.points.append(point)
        append_event(self._folder, "epoch", **msgspec.to_builtins(point))
        checkpoints = self._folder / CHECKPOINTS_FOLDER
        if point.best:
            save_weights(checkpoints / BEST_NAME, pl_module.network)
        trainer.save_checkpoint(checkpoints / LAST_NAME)
        note_epoch(self._folder, point)
        self._report(point, int(trainer.num_training_batches))
        self._context.check_cancelled()

    def _point(self, trainer: Trainer, module: Classifier) -> EpochPoint:
        figures = module.epoch_figures()
        score = selection_score(figures["validation_accuracy"], figures["validation_loss"])
        best = score is None or self._best is None or score > self._best
        self._best = score if best else self._best
        return EpochPoint(
            epoch=trainer.current_epoch + 1,
            train_loss=figures["train_loss"] or 0.0,
            validation_loss=figures["validation_loss"],
            validation_accuracy=figures["validation_accuracy"],
            learning_rate=float(trainer.optimizers[0].param_groups[0]["lr"]),
            seconds=round(time.monotonic() - self._epoch_begun, 3),
            best=best,
        )

    def _report(self, point: EpochPoint, batches: int) -> None:
        step = point.epoch * batches
        left_s = self._mean_seconds() * (self._epochs - point.epoch)
        report_epoch(self._context, point, self._epochs, step=step)
        self._context.metric("eta_s", left_s, epoch=point.epoch, step=step)
        self._context.progress(step, self._epochs * batches, "batch", self._progress_text(point.epoch, 0.0))

    def _mean_seconds(self) -> float:
        recent = [point.seconds for point in self.points[-3:]]
        return sum(recent) / len(recent) if recent else 0.0

    def _progress_text(self, epochs_done: int, share: float) -> str:
        shown = min(epochs_done + 1, self._epochs)
        last = self.points[-1].validation_accuracy if self.points else None
        text = f"epoch {shown} of {self._epochs}"
        if last is not None:
            text += f", {100 * last:.1f} % of validation right"
        seconds = self._mean_seconds() or ((time.monotonic() - self._epoch_begun) / share if share else 0.0)
        left_s = seconds * (self._epochs - epochs_done - share)
        return f"{text}, {left_s:.0f} s left" if left_s >= 1 else text


def selection_score(accuracy: float | None, loss: float | None) -> float | None:
    """By what the best weights are chosen: validation accuracy; among equals the lower loss.

    None without a validation split: then the last epoch counts as the best.
    """
    if accuracy is None or loss is None:
        return None
    return round(accuracy, 6) - 1e-7 * min(loss, 5.0)
