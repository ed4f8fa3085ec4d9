"""Which step of the loop comes next for a project; a pure function of what it holds."""

from typing import NamedTuple

from desktop_app.ui.questions.holdings import Holdings
from desktop_app.ui.translations.text import Text


class Step(NamedTuple):
    """What comes next: what the button says, where it leads, and why."""

    action: Text
    page: str
    why: Text


def next_step(holdings: Holdings) -> Step:
    """The first step of the loop that the project still lacks."""
    if not holdings.samples:
        return Step(Text("Import data"), "data", Text("The project is empty. Drop a folder of images or a CSV table here."))
    if holdings.unlabelled and not holdings.classes:
        return Step(Text("Label samples"), "label", Text("No sample has a label yet. Ten per class are a good start."))
    if not holdings.versions:
        return Step(
            Text("Freeze a version"), "data", Text("Freeze a dataset version: training reads an immutable, hashed list of samples.")
        )
    if holdings.best_run is None:
        return Step(Text("Train first model"), "train", Text("A dataset version is there. Train a first model on it."))
    if not holdings.packages:
        return Step(
            Text("Ship the model"), "ship", Text("A model is trained. Convert it, see what int8 costs, and build a signed package.")
        )
    return Step(Text("Open the fleet"), "fleet", Text("A package is built. Publish it and roll it out to devices."))


def task_name(task: str) -> Text | str:
    """A task in words."""
    names = {"image-classification": Text("image classification"), "tabular-classification": Text("tabular classification")}
    return names.get(task, task)
