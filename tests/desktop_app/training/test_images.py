import numpy as np
import pytest

from desktop_app.data.loading import load_image
from desktop_app.errors import JobCancelledError
from desktop_app.jobs.context import SilentReport
from desktop_app.training.images import load_split, resize_step
from tests.desktop_app.sample_projects import Listener, make_image_project


@pytest.fixture(scope="module")
def colours(tmp_path_factory):
    project, version = make_image_project(tmp_path_factory.mktemp("images"))
    with project:
        yield project, version


def test_images_go_through_the_devices_own_resize(colours) -> None:
    project, version = colours
    split = load_split(project, version, "validation", 8, SilentReport())
    samples = version.of_split("validation")
    assert split.images.shape == (len(samples), 8, 8, 3)
    assert split.images.dtype == np.uint8
    for position in (0, len(samples) - 1):
        expected = resize_step(8)(load_image(project, samples[position].sha256))
        assert np.array_equal(split.images[position], expected)
        assert version.labels[split.labels[position]] == samples[position].label


def test_the_resize_takes_half_pixel_centres_and_floors() -> None:
    frame = np.zeros((2, 2, 3), np.uint8)
    frame[:, 1] = 101
    assert resize_step(4)(frame)[0, :, 0].tolist() == [0, 25, 75, 101]
    assert np.array_equal(resize_step(2)(frame), frame)


def test_too_many_images_for_memory_go_to_a_file_that_is_used_again(colours, monkeypatch) -> None:
    project, version = colours
    inside = load_split(project, version, "train", 8, SilentReport())
    outside = load_split(project, version, "train", 8, SilentReport(), memory_bytes=100)
    assert isinstance(outside.images, np.memmap)
    assert np.array_equal(inside.images, outside.images)
    assert [path.name for path in (project.folder / "cache").iterdir()] == [f"train-8-{version.digest}.npy"]
    monkeypatch.setattr("desktop_app.training.images._decode_into", None)
    assert np.array_equal(load_split(project, version, "train", 8, SilentReport(), memory_bytes=100).images, inside.images)


def test_a_cancel_while_reading_leaves_no_half_file(colours) -> None:
    project, version = colours
    listener = Listener()
    listener.context.cancel()
    with pytest.raises(JobCancelledError):
        load_split(project, version, "test", 8, listener.context, memory_bytes=1)
    assert not list((project.folder / "cache").glob("*test*"))
    assert not list((project.folder / "cache").glob(".*"))
