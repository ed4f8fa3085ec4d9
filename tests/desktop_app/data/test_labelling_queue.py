from pathlib import Path

import pytest

from desktop_app.data.catalogue import undo
from desktop_app.data.importing import import_source
from desktop_app.data.labelling_queue import list_queue, queue_image, resolve
from desktop_app.data.loading import load_image
from desktop_app.data.project import Project
from desktop_app.data.versions import freeze_version
from desktop_app.errors import DataError
from tests.desktop_app.data.pictures import picture, write_classes


def test_a_wrong_prediction_waits_for_a_person_and_becomes_a_sample(filled: Project) -> None:
    sample = queue_image(filled, picture(900), name="drop\ned.png", predicted="cat", predicted_score=0.6)
    assert (sample.label, sample.queued, sample.name, sample.source) == (None, True, r"drop\ned.png", "try")
    assert sample.sha256 not in {s.sha256 for s in freeze_version(filled).samples}
    resolved = resolve(filled, sample.id, "owl")
    assert (resolved.label, resolved.queued) == ("owl", False)
    assert list_queue(filled) == []
    assert sample.sha256 in {s.sha256 for s in freeze_version(filled).samples}
    undo(filled)
    assert [waiting.id for waiting in list_queue(filled)] == [sample.id]


def test_the_least_certain_comes_first(project: Project) -> None:
    for number, score in enumerate((0.9, 0.2, None, 0.5)):
        queue_image(project, picture(number), name=f"{number}.png", predicted="x", predicted_score=score, source="device")
    assert [sample.predicted_score for sample in list_queue(project)] == [0.2, 0.5, 0.9, None]


def test_a_known_image_is_queued_with_the_label_it_has(project: Project, tmp_path: Path) -> None:
    import_source(project, write_classes(tmp_path / "animals", {"cat": 1}))
    sample = queue_image(project, picture(0), name="x.png", predicted="dog", predicted_score=0.4)
    assert (sample.name, sample.label, sample.queued, sample.predicted) == ("cat/000.png", "cat", True, "dog")
    again = queue_image(project, picture(0), name="x.png", predicted="owl", predicted_score=0.3)
    assert (again.id, again.predicted) == (sample.id, "owl")


def test_its_pixels_are_kept(project: Project) -> None:
    sample = queue_image(project, picture(3, (7, 5)), name="x.png")
    assert load_image(project, sample.sha256).shape == (5, 7, 3)


@pytest.mark.parametrize("body", [b"", b"no picture", picture(1)[:30]])
def test_what_is_no_picture_is_refused(project: Project, body: bytes) -> None:
    with pytest.raises(DataError, match="can not be queued"):
        queue_image(project, body, name="x.png")
    assert list_queue(project) == []


def test_an_unknown_source_is_refused(project: Project) -> None:
    with pytest.raises(DataError, match="try or device"):
        queue_image(project, picture(1), name="x.png", source="moon")
