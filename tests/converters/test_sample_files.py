import numpy as np
import pytest
from PIL import Image

from contract.manifest import TensorSpec
from converters.errors import SamplesError
from converters.sample_files import class_names, read_calibration, read_samples
from edge_agent.engine.model_spec import ModelSpec


def spec(dtype, shape, layout, labels=("cat", "dog")):
    return ModelSpec("classification", labels, (TensorSpec("x", dtype, shape, layout),), (TensorSpec("scores", "float32", (2,)),), {})


@pytest.fixture
def images(tmp_path):
    for label, level in (("cat", 0), ("dog", 255)):
        (tmp_path / "images" / label).mkdir(parents=True)
        for index in range(4):
            Image.fromarray(np.full((9, 7, 3), level, np.uint8)).save(tmp_path / "images" / label / f"{index}.png")
    return tmp_path / "images"


def test_folders_are_classes(images):
    found = read_samples(images, spec("uint8", (-1, -1, 3), "HWC"))
    assert class_names(images) == ("cat", "dog")
    assert found.labels == [0] * 4 + [1] * 4
    assert found.samples[0]["x"].shape == (9, 7, 3)


@pytest.mark.parametrize(
    ("wanted", "black", "white"),
    [("0..255", 0, 255), ("0..1", 0, 1), ("-1..1", -1, 1), ("imagenet", -0.485 / 0.229, (1 - 0.485) / 0.229)],
)
def test_ranges_of_floating_point_inputs(images, wanted, black, white):
    samples = read_samples(images, spec("float32", (3, 8, 8), "CHW"), input_range=wanted).samples
    assert samples[0]["x"].shape == (3, 8, 8)
    assert samples[0]["x"].dtype == np.float32
    assert samples[0]["x"][0, 0, 0] == pytest.approx(black, abs=1e-5)
    assert samples[-1]["x"][0, 0, 0] == pytest.approx(white, abs=1e-5)


def test_a_range_is_never_guessed(images):
    with pytest.raises(SamplesError, match="nobody said what its numbers mean"):
        read_samples(images, spec("float32", (8, 8, 3), "HWC"))


def test_grey_images_with_and_without_an_axis_of_channels(images):
    assert read_samples(images, spec("uint8", (8, 8, 1), "HWC")).samples[-1]["x"].shape == (8, 8, 1)
    found = read_samples(images, spec("float32", (8, 8), ""), input_range="0..1").samples[-1]["x"]
    assert found.shape == (8, 8)
    assert found.max() == pytest.approx(1.0, abs=1e-6)


def test_calibration_takes_samples_of_the_whole_folder_whatever_its_names(images):
    found = read_calibration(images, spec("uint8", (-1, -1, 3), "HWC", labels=("a", "b")), input_range="", limit=2)
    assert [int(sample["x"].max()) for sample in found] == [0, 255]


def test_a_file_that_is_no_image_is_named(images):
    (images / "cat" / "9.png").write_text("not a picture")
    with pytest.raises(SamplesError, match=r"'9\.png' can not be used"):
        read_samples(images, spec("uint8", (-1, -1, 3), "HWC"))


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(SamplesError, match="holds no images"):
        read_samples(tmp_path, spec("uint8", (-1, -1, 3), "HWC"))


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"y": np.zeros((2, 3), np.float32)}, "expected one per input"),
        ({"x": np.zeros((2, 4), np.float32)}, "expected float32"),
        ({"x": np.zeros((2, 3), np.float64)}, "expected float32"),
        ({"x": np.zeros((0, 3), np.float32)}, "at least 1"),
        ({"x": np.zeros((2, 3), np.float32), "labels": np.array([0, 2])}, "2 integers from 0 to 1"),
        ({"x": np.zeros((2, 3), np.float32), "labels": np.array([0.0, 1.0])}, "2 integers from 0 to 1"),
        ({"x": np.array([{}, {}], dtype=object)}, "without pickles"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path, arrays, words):
    np.savez(tmp_path / "s.npz", **arrays)
    with pytest.raises(SamplesError, match=words):
        read_samples(tmp_path / "s.npz", spec("float32", (3,), ""))
