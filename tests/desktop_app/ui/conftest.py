"""The window offscreen, with projects that hold real pictures; a Qt warning fails the test."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

os.environ["QT_QPA_PLATFORM"] = "offscreen"

import numpy as np
import pytest
import shiboken6
from PIL import Image

from desktop_app.data.acceptance_set import freeze_acceptance
from desktop_app.data.project import create_project
from desktop_app.jobs.events import Done
from desktop_app.jobs.requests import ConvertJob
from desktop_app.release.conversion import convert_run
from desktop_app.release.keys import init_keys
from desktop_app.ui.app import apply_theme, make_application
from desktop_app.ui.job_runner import JobHandle
from desktop_app.ui.language import LANGUAGE
from desktop_app.ui.preferences import Preferences
from desktop_app.ui.stylesheet import stylesheet
from desktop_app.ui.theme import THEME
from desktop_app.ui.tokens import LIGHT
from desktop_app.ui.window import StudioWindow, make_window
from tests.desktop_app.sample_projects import COLOURS, TINY, Listener, train_now

PASSPHRASE = "three plain words"
JOB_TIMEOUT_MS = 120_000
WAIT_MS = 30_000


def draw_pictures(folder: Path, per_class: int = 40) -> None:
    """One subfolder per colour with noisy pictures of 12 × 10 pixels."""
    rng = np.random.default_rng(7)
    for label, colour in COLOURS.items():
        (folder / label).mkdir(parents=True)
        for number in range(per_class):
            pixels = np.clip(np.array(colour) + rng.normal(0, 30, (10, 12, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{number:03}.png")


class Finished(NamedTuple):
    """A project with a converted run, and a folder of keys."""

    folder: Path
    run: str
    keys: Path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A warning of Qt fails the test that caused it."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.qt_log_level_fail("WARNING"))


@pytest.fixture(autouse=True)
def plain_looks(qapp) -> Iterator[None]:
    """Each test begins light and in English; what is so already is not chosen again, for every widget follows each choice."""
    if make_application().styleSheet() != stylesheet(LIGHT) or THEME.is_dark:
        apply_theme("light")
    speak_english()
    yield
    speak_english()


def speak_english() -> None:
    if LANGUAGE.code != "en":
        LANGUAGE.choose("en")


@pytest.fixture
def window(qtbot, tmp_path: Path) -> Iterator[StudioWindow]:
    preferences = Preferences(projects_folder=str(tmp_path / "projects"), keys_folder=str(tmp_path / "keys"))
    made = make_window(preferences, tmp_path / "studio.json")
    made.show()
    yield made
    made.close()
    shiboken6.delete(made)


@pytest.fixture
def settle(qtbot, window: StudioWindow) -> Callable[[], None]:
    """Waits until every question is answered."""
    return lambda: qtbot.waitUntil(lambda: window.studio.workspace.is_idle, timeout=WAIT_MS)


@pytest.fixture
def finish(qtbot, window: StudioWindow, settle: Callable[[], None]) -> Callable[[], JobHandle]:
    """Waits until every job is done, and says why where one failed."""

    def wait() -> JobHandle:
        jobs = window.studio.jobs
        qtbot.waitUntil(lambda: jobs.current is None and not jobs.waiting, timeout=JOB_TIMEOUT_MS)
        settle()
        assert jobs.last is not None
        assert isinstance(jobs.last.outcome, Done), (jobs.last.outcome, jobs.log())
        return jobs.last

    return wait


@pytest.fixture(scope="session")
def pictures(tmp_path_factory) -> Path:
    """A folder of 3 × 40 coloured pictures."""
    folder = tmp_path_factory.mktemp("pictures") / "colours"
    draw_pictures(folder)
    return folder


@pytest.fixture(scope="session")
def imported_template(tmp_path_factory, pictures: Path) -> Path:
    from desktop_app.data.importing import import_source

    folder = tmp_path_factory.mktemp("imported") / "project"
    with create_project(folder, "colours <b>", "image-classification") as project:
        import_source(project, pictures)
    return folder


@pytest.fixture
def imported(imported_template: Path, tmp_path: Path) -> Path:
    """A project with pictures and nothing more."""
    return Path(shutil.copytree(imported_template, tmp_path / "project"))


@pytest.fixture(scope="session")
def finished_template(tmp_path_factory, imported_template: Path) -> Finished:
    from desktop_app.data.project import open_project
    from desktop_app.data.versions import freeze_version

    folder = tmp_path_factory.mktemp("finished")
    shutil.copytree(imported_template, folder / "project")
    with open_project(folder / "project") as project:
        freeze_acceptance(project, count=24)
        freeze_version(project)
        run = train_now(project, **TINY, epochs=4)
        convert_run(project, ConvertJob(run.id, ("onnx-float32", "onnx-int8"), max_loss=5.0), Listener().context)
    init_keys(folder / "keys", PASSPHRASE)
    return Finished(folder / "project", run.id, folder / "keys")


@pytest.fixture
def finished(finished_template: Finished, tmp_path: Path) -> Finished:
    """A project with a converted run, as a copy that a test may change; its keys are the window's."""
    shutil.copytree(finished_template.folder, tmp_path / "project")
    shutil.copytree(finished_template.keys, tmp_path / "keys")
    return finished_template._replace(folder=tmp_path / "project", keys=tmp_path / "keys")
