import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from converters.cli import run
from tests.simulators.packages import labels_of, make_frames, make_model

HEAVY = {"numpy", "torch", "onnx", "onnxruntime", "PySide6", "sklearn", "rich"}


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    """A model file and a folder of images with one subfolder per class."""
    folder = tmp_path_factory.mktemp("convert")
    (folder / "colours.onnx").write_bytes(make_model(3))
    frames, labels = make_frames(30, 9)
    for index, (frame, label) in enumerate(zip(frames, labels, strict=True)):
        place = folder / "images" / labels_of(3)[label]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(frame).save(place / f"{index}.png")
    return folder


def convert(material, folder, *arguments) -> int:
    """Run the command on the model with `-o`; `IMAGES` stands for the folder of images."""
    images = str(material / "images")
    return run([str(material / "colours.onnx"), *(images if part == "IMAGES" else part for part in arguments), "-o", str(folder / "out")])


def test_help_imports_nothing_heavy():
    code = (
        f"import sys; from converters.cli import run; code = run(['--help']); print(sorted({HEAVY!r} & set(sys.modules))); sys.exit(code)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines()[-1] == "[]"
    assert "--calibration" in answer.stdout


def test_a_table_of_what_each_variant_costs(material, tmp_path, capfd):
    labels = ",".join(labels_of(3))
    assert convert(material, tmp_path, "-t", "onnx-float32,onnx-int8", "-c", "IMAGES", "-e", "IMAGES", "--labels", labels) == 0
    out, err = capfd.readouterr()
    assert out.splitlines()[0].split()[:3] == ["variant", "accuracy", "change"]
    assert [line.split()[0] for line in out.splitlines()[1:3]] == ["onnx-float32", "onnx-int8"]
    assert "100.00 %" in out
    assert "measuring onnx-int8 on 30 samples" in err
    assert (tmp_path / "out" / "onnx-int8.onnx").is_file()


def test_json_without_labels_says_that_accuracy_is_unknown(material, tmp_path, capfd):
    arguments = [
        str(material / "colours.onnx"),
        "-t",
        "onnx-float32",
        "-c",
        str(material / "images"),
        "-o",
        str(tmp_path / "out"),
        "--json",
    ]
    assert run(arguments) == 0
    report = json.loads(capfd.readouterr().out)
    assert report["labelled"] is False
    assert report["gates"] == {}
    assert report["variants"]["onnx-float32"]["evaluation"]["metric"] == "agreement"


def test_the_folders_names_are_the_labels_in_their_order(material, tmp_path, capfd):
    """Sorted folders are blue, green, red, the model's order is red, green, blue: only green can be right."""
    arguments = [
        str(material / "colours.onnx"),
        "-t",
        "onnx-float32",
        "-e",
        str(material / "images"),
        "-o",
        str(tmp_path / "out"),
        "--json",
    ]
    assert run(arguments) == 0
    report = json.loads(capfd.readouterr().out)
    assert report["labels"] == ["blue", "green", "red"]
    assert report["variants"]["onnx-float32"]["evaluation"]["score"] == pytest.approx(1 / 3)


def test_arrays_in_an_npz(material, tmp_path, capfd):
    frames, labels = make_frames(12, 3)
    same_size = np.stack([np.resize(frame.mean(axis=(0, 1)).astype(np.uint8), (20, 20, 3)) for frame in frames])
    np.savez(tmp_path / "samples.npz", frame=same_size, labels=np.array(labels))
    arguments = [
        str(material / "colours.onnx"),
        "-t",
        "onnx-float32",
        "-e",
        str(tmp_path / "samples.npz"),
        "-o",
        str(tmp_path / "out"),
        "--json",
    ]
    assert run(arguments) == 0
    assert json.loads(capfd.readouterr().out)["variants"]["onnx-float32"]["evaluation"]["score"] == 1.0


def test_what_was_asked_for_and_can_not_be_made_is_an_exit_code(material, tmp_path, capfd):
    arguments = [
        str(material / "colours.onnx"),
        "-t",
        "onnx-float32,litert-int8",
        "-c",
        str(material / "images"),
        "-o",
        str(tmp_path / "out"),
    ]
    assert run(arguments) == 1
    assert "litert-int8 was not made: an ONNX file can not become TFLite here" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none.onnx", "-c", "{images}"], "there is no file"),
        (["{model}"], "neither calibration nor evaluation samples"),
        (["{model}", "-c", "{images}", "-t", "onnx-int3"], "'onnx-int3' is not a target format"),
        (["{model}", "-e", "{images}", "--labels", "a,b,c"], "none of the model's labels"),
        (["{model}", "-c", "{model}"], "neither a folder of images nor an .npz file"),
    ],
)
def test_errors_are_sentences(material, tmp_path, capfd, arguments, words):
    places = {"images": str(material / "images"), "model": str(material / "colours.onnx")}
    assert run([*(part.format(**places) for part in arguments), "-o", str(tmp_path / "out")]) == 1
    err = capfd.readouterr().err
    assert words in err
    assert "Traceback" not in err


def test_wrong_usage_is_2(capfd):
    assert run(["--no-such-option"]) == 2
    assert "No such option" in capfd.readouterr().err
