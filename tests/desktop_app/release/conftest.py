"""One project of colours with a good run and one trained on permuted labels, converted; shared by the tests of packages."""

import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from desktop_app.data.acceptance_set import freeze_acceptance
from desktop_app.data.importing import import_source
from desktop_app.data.project import create_project, open_project
from desktop_app.data.versions import freeze_version
from desktop_app.jobs.context import JobContext
from desktop_app.jobs.events import Event
from desktop_app.jobs.requests import ConvertJob
from desktop_app.release.conversion import convert_run
from desktop_app.release.keys import init_keys
from tests.desktop_app.sample_projects import COLOURS, TINY, Listener, train_now

PASSPHRASE = "three plain words"
PER_CLASS = 48
TARGETS = ("onnx-float32", "onnx-int8")


class Colours(NamedTuple):
    """The project's folder, and the ids of its runs; `keys` is a key store's folder."""

    folder: Path
    good: str
    bad: str
    keys: Path


@pytest.fixture(scope="session")
def colours_template(tmp_path_factory):
    folder = tmp_path_factory.mktemp("colours")
    draw_pictures(folder / "pictures")
    with create_project(folder / "project", "colours <b>", "image-classification") as project:
        import_source(project, folder / "pictures")
        freeze_acceptance(project, count=24)
        freeze_version(project)
        good = train_now(project, **TINY, epochs=8)
        bad = train_now(project, **TINY, epochs=8, label_permutation_seed=1)
        for run in (good, bad):
            convert_run(project, ConvertJob(run.id, TARGETS, max_loss=5.0), Listener().context)
    init_keys(folder / "keys", PASSPHRASE)
    return Colours(folder / "project", good.id, bad.id, folder / "keys")


@pytest.fixture
def colours(colours_template, tmp_path):
    """A copy that a test may change (which also shows that a project can be moved)."""
    shutil.copytree(colours_template.folder, tmp_path / "project")
    shutil.copytree(colours_template.keys, tmp_path / "keys")
    return colours_template._replace(folder=tmp_path / "project", keys=tmp_path / "keys")


@pytest.fixture
def project(colours):
    with open_project(colours.folder) as opened:
        yield opened


def draw_pictures(folder: Path) -> None:
    rng = np.random.default_rng(7)
    for label, colour in COLOURS.items():
        (folder / label).mkdir(parents=True)
        for number in range(PER_CLASS):
            pixels = np.clip(np.array(colour) + rng.normal(0, 30, (10, 12, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{number:03}.png")


def context_with_passphrase(events: list[Event] | None = None) -> JobContext:
    return JobContext((events if events is not None else []).append, {"passphrase": PASSPHRASE})
