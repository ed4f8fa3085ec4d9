"""A run's events, one JSON line each, and the learning curve read back from them."""

import logging
from pathlib import Path
from typing import Any

import msgspec

from contract.codec import encode, utc_now
from contract.files import read_bounded
from desktop_app.jobs.context import JobContext

EVENTS_NAME = "events.jsonl"
EVENTS_MAX_BYTES = 64 << 20

_log = logging.getLogger(__name__)


class EpochPoint(msgspec.Struct, frozen=True, omit_defaults=True):
    """One epoch of a run; `epoch` counts from 1, losses are mean cross-entropy in nats.

    The validation figures are None where the dataset version has no validation split.
    """

    epoch: int
    train_loss: float
    validation_loss: float | None = None
    validation_accuracy: float | None = None  # share of samples, 0 to 1
    learning_rate: float = 0.0  # at the end of the epoch
    seconds: float = 0.0
    best: bool = False  # whether these weights were the best so far


class Curve(msgspec.Struct, frozen=True):
    """The learning curve: points in the order of the epochs, each epoch once."""

    points: tuple[EpochPoint, ...]
    epochs: int  # planned

    @property
    def best(self) -> EpochPoint | None:
        """The epoch whose weights were kept last, if any."""
        return next((point for point in reversed(self.points) if point.best), None)


def report_epoch(context: JobContext, point: EpochPoint, epochs: int, *, step: int) -> None:
    """Tell the user of a finished epoch: one metric per figure, and one sentence."""
    words = f"epoch {point.epoch} of {epochs}: train loss {point.train_loss:.3f}"
    context.metric("loss", point.train_loss, epoch=point.epoch, step=step, split="train")
    if point.validation_loss is not None and point.validation_accuracy is not None:
        context.metric("loss", point.validation_loss, epoch=point.epoch, step=step, split="validation")
        context.metric("accuracy", point.validation_accuracy, epoch=point.epoch, step=step, split="validation")
        words += f", validation loss {point.validation_loss:.3f}, {100 * point.validation_accuracy:.1f} % right"
    context.metric("seconds", point.seconds, epoch=point.epoch, step=step)
    context.message(f"{words} ({point.seconds:.1f} s)")


def append_event(folder: Path, kind: str, **fields: Any) -> None:  # noqa: ANN401  (JSON values)
    """Append one line to the run's `events.jsonl`."""
    line = encode({"at": utc_now(), "kind": kind, **fields}) + b"\n"
    with (folder / EVENTS_NAME).open("ab") as file:
        file.write(line)


def read_events(folder: Path) -> list[dict[str, Any]]:
    """All whole lines of a run's events; a line that was cut off by a crash is left out.

    Raises:
        contract.errors.SizeError: the file is larger than 64 MiB.
    """
    path = folder / EVENTS_NAME
    if not path.is_file():
        return []
    found: list[dict[str, Any]] = []
    for line in read_bounded(path, EVENTS_MAX_BYTES).split(b"\n"):
        try:
            event = msgspec.json.decode(line, type=dict[str, Any]) if line else None
        except msgspec.DecodeError:
            _log.debug("a torn line in %s was left out", path)
            continue
        if event:
            found.append(event)
    return found


def curve_of(events: list[dict[str, Any]], epochs: int) -> Curve:
    """The learning curve of a list of events; an epoch that was trained twice counts as the later time."""
    points: dict[int, EpochPoint] = {}
    for event in events:
        if event.get("kind") == "epoch":
            point = msgspec.convert({k: v for k, v in event.items() if k not in {"at", "kind"}}, EpochPoint)
            points[point.epoch] = point
    return Curve(points=tuple(points[epoch] for epoch in sorted(points)), epochs=epochs)
