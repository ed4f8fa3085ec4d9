"""Tiny real projects for tests of training and evaluation: coloured pictures, and a table of mixed columns."""

import csv
import random
from pathlib import Path

import numpy as np
from PIL import Image

from desktop_app.data.importing import import_source
from desktop_app.data.project import Project, create_project
from desktop_app.data.versions import DatasetVersion, freeze_version
from desktop_app.jobs.context import JobContext
from desktop_app.jobs.events import Event
from desktop_app.jobs.requests import TrainJob
from desktop_app.training.loop import train
from desktop_app.training.runs import Run

COLOURS = {"blue": (40, 60, 220), "green": (50, 200, 60), "red": (210, 50, 40)}
TINY = {"architecture": "small-cnn", "options": {"width": 6, "input_size": 8}, "batch_size": 8, "learning_rate": 0.02, "threads": 1}


def make_image_project(folder: Path, *, per_class: int = 20) -> tuple[Project, DatasetVersion]:
    """A project with one frozen version of three easy classes of 12 x 10 pictures."""
    source = folder / "pictures"
    rng = np.random.default_rng(7)
    for label, colour in COLOURS.items():
        (source / label).mkdir(parents=True)
        for number in range(per_class):
            pixels = np.clip(np.array(colour) + rng.normal(0, 30, (10, 12, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(source / label / f"{number:03}.png")
    project = create_project(folder / "project", "colours", "image-classification")
    import_source(project, source)
    return project, freeze_version(project)


def make_table_project(folder: Path, *, rows: int = 240) -> tuple[Project, DatasetVersion]:
    """A project with one frozen version of a table: two numbers, one whole number, one category, some missing values."""
    chooser = random.Random(5)
    path = folder / "fruit.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["weight g", "length", "seeds", "skin", "fruit"])
        for _ in range(rows):
            fruit = chooser.choice(["apple", "banana", "grape"])
            weight, length, seeds = {"apple": (180, 8, 7), "banana": (120, 19, 0), "grape": (5, 2, 2)}[fruit]
            skin = {"apple": "red", "banana": "yellow", "grape": "green"}[fruit] if chooser.random() < 0.8 else "green"
            cells = [round(chooser.gauss(weight, weight / 8), 2), round(chooser.gauss(length, 1.5), 3), seeds + chooser.randint(0, 2), skin]
            cells = ["" if chooser.random() < 0.03 else cell for cell in cells]
            writer.writerow([*cells, fruit])
    project = create_project(folder / "project", "fruit", "tabular-classification")
    import_source(project, path)
    return project, freeze_version(project)


class Listener:
    """Collects a job's events; after `cancel_after` events of one kind it cancels."""

    def __init__(self, *, cancel_on: str = "") -> None:
        self.events: list[Event] = []
        self._cancel_on = cancel_on
        self.context = JobContext(self._take)

    def _take(self, event: Event) -> None:
        self.events.append(event)
        if self._cancel_on and self._cancel_on in getattr(event, "text", ""):
            self.context.cancel()


def train_now(project: Project, **wishes: object) -> Run:
    """Train in this process."""
    return train(project, TrainJob(recipe=wishes), Listener().context)
