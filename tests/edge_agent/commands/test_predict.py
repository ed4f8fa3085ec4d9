import http.client
import json
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from contract.files import write_atomic
from contract.package import Package, write_archive
from contract.signing import PrivateKey, public_key_to_bytes
from edge_agent.commands.predict import predict
from edge_agent.engine.engine import open_engine
from edge_agent.engine.golden import load_golden
from tests.edge_agent.serving.serving_thread import serving
from tests.simulators.packages import make_frames, make_package


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for index, frame in enumerate(make_frames(3, 3)[0]):
        Image.fromarray(frame).save(folder / f"{index}.png")
    return folder


@pytest.fixture
def key_file(tmp_path: Path, key: PrivateKey) -> str:
    write_atomic(tmp_path / "digits.pub.json", public_key_to_bytes(key.public, "digits"))
    return str(tmp_path / "digits.pub.json")


def run(tmp_path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(predict, ["--home", str(tmp_path / "home"), *arguments])


def test_a_folder_of_images_is_answered_line_by_line(package: Package, images: Path, key_file: str, tmp_path: Path) -> None:
    result = run(tmp_path, str(package.folder), str(images), "--key", key_file, "--json")
    assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["label"] for line in lines] == ["red", "green", "blue"]
    assert [Path(line["input"]).name for line in lines] == ["0.png", "1.png", "2.png"]
    people = run(tmp_path, str(package.folder), str(images / "0.png"), "--key", key_file)
    assert "0.png: red  99." in people.stdout


def test_a_file_that_can_not_be_read_is_said_and_the_rest_is_answered(
    package: Package, images: Path, key_file: str, tmp_path: Path
) -> None:
    (images / "1.png").write_bytes((images / "1.png").read_bytes()[:60])
    output = tmp_path / "answers.jsonl"
    result = run(tmp_path, str(package.folder), str(images), "--key", key_file, "--output", str(output))
    assert result.exit_code == 1
    assert "1 of 3 samples got no answer" in result.stderr
    lines = [json.loads(line) for line in output.read_text().splitlines()]
    assert ["error" in line for line in lines] == [False, True, False]


@pytest.mark.parametrize("form", ["folder", "archive"])
def test_a_package_that_nobody_vouches_for_is_refused(package: Package, images: Path, tmp_path: Path, form: str) -> None:
    path = package.folder if form == "folder" else write_archive(package.folder, tmp_path / "digits-1.eyelet")
    result = run(tmp_path, str(path), str(images))
    assert result.exit_code == 1
    assert "no trusted key vouches for" in result.stderr
    unsigned = run(tmp_path, str(path), str(images), "--insecure-skip-signature")
    assert unsigned.exit_code == 0
    assert "the signature is not looked at" in unsigned.stderr


def test_a_truncated_or_tampered_package_is_refused(key: PrivateKey, images: Path, key_file: str, tmp_path: Path) -> None:
    package = make_package(tmp_path / "package", key=key)
    archive = write_archive(package.folder, tmp_path / "digits-1.eyelet")
    archive.write_bytes(archive.read_bytes()[:-200])
    assert "not a whole package" in run(tmp_path, str(archive), str(images), "--key", key_file).stderr
    with package.variant_path("onnx-float32").open("ab") as file:
        file.write(b"more")
    assert "bytes, expected" in run(tmp_path, str(package.folder), str(images), "--key", key_file).stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("nowhere/at/all", "x.png"), 1, "does not exist"),
        (("letters", "x.png"), 1, "is no agent's folder"),
        (("letters",), 2, "name at least one input"),
    ],
)
def test_what_is_missing_is_said(tmp_path: Path, arguments: tuple[str, ...], code: int, words: str) -> None:
    result = run(tmp_path, *arguments)
    assert result.exit_code == code
    assert words in result.stderr


@pytest.mark.parametrize("variant", ["onnx-float32", "litert-float32"])
def test_the_golden_check_is_printed_and_fails_where_it_must(
    package: Package, key: PrivateKey, key_file: str, tmp_path: Path, *, variant: str
) -> None:
    result = run(tmp_path, str(package.folder), "--golden", "--json", "--key", key_file, "--variant", variant)
    *samples, verdict = [json.loads(line) for line in result.stdout.splitlines()]
    assert verdict == {**verdict, "variant": variant, "samples": 4, "passed": True}
    assert all(sample["difference"] <= 1e-4 for sample in samples)
    wrong = make_package(tmp_path / "wrong", key=key, kind="wrong-golden")
    result = run(tmp_path, str(wrong.folder), "--golden", "--key", key_file)
    assert result.exit_code == 1
    assert "does not compute what the desk computed" in result.stderr


def test_engine_command_and_endpoint_give_the_same_golden_answers(package: Package, key_file: str, tmp_path: Path) -> None:
    golden = load_golden(package.path_of("golden.npz"), package.manifest)
    for index, sample in enumerate(golden):
        Image.fromarray(sample.inputs["frame"]).save(tmp_path / f"{index}.png")
    files = [str(tmp_path / f"{index}.png") for index in range(len(golden))]
    lines = run(tmp_path, str(package.folder), *files, "--key", key_file, "--json").stdout.splitlines()
    with (
        open_engine(package, "onnx-float32") as engine,
        serving(package) as port,
        closing(http.client.HTTPConnection("127.0.0.1", port)) as client,
    ):
        for sample, file, line in zip(golden, files, lines, strict=True):
            client.request("POST", "/predict", Path(file).read_bytes(), {"Content-Type": "image/png"})
            with client.getresponse() as response:
                served = json.loads(response.read())["scores"]
            desk = sample.outputs_by_variant["onnx-float32"]["scores"]
            for scores in (engine.predict(sample.inputs).scores, json.loads(line)["scores"], served):
                np.testing.assert_allclose(scores, desk, atol=1e-4)
