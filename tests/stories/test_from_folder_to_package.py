"""A folder of pictures becomes a signed package, and the package answers the same at the desk, on the command line and over HTTP."""

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from contract.files import sha256_of_file
from contract.manifest import golden_input_key
from contract.package import Package, open_package
from contract.signing import public_key_from_bytes
from tests.stories.devices import ask_frame, ask_image, endpoint_url
from tests.stories.pictures import write_colours
from tests.stories.programs import Programs, assert_refused, wait_for

pytestmark = pytest.mark.story

PER_CLASS, APART = 50, 30
MODEL = "colours"
RECIPE = ("--epochs", 3, "--batch-size", 8, "--learning-rate", 0.02, "-o", "width=6", "-o", "input_size=16", "--threads", 1)
TARGETS = {"onnx-float32", "onnx-int8"}
SAME = 1e-4


class Loop(NamedTuple):
    """What each command of the loop printed with --json."""

    programs: Programs
    pictures: Path
    imported: dict[str, Any]
    version: dict[str, Any]
    run: dict[str, Any]
    evaluation: dict[str, Any]
    conversion: dict[str, Any]
    package: dict[str, Any]
    key: Path

    @property
    def archive(self) -> Path:
        return self.programs.project / "packages" / f"{MODEL}-1.eyelet"

    @property
    def folder(self) -> Path:
        return self.programs.project / "packages" / f"{MODEL}-1"


@pytest.fixture(scope="module")
def loop(programs: Programs) -> Loop:
    studio, pictures = programs.studio, write_colours(programs.folder / "pictures", PER_CLASS)
    imported = studio("import", pictures)
    studio("acceptance", "--count", APART)
    version = studio("freeze", "--seed", 0)
    run = studio("train", "--architecture", "small-cnn", "--seed", 1, *RECIPE)
    evaluation = studio("evaluate", "latest")
    conversion = studio("convert", run["id"], "--targets", ",".join(sorted(TARGETS)), "--max-loss", 5)
    studio("keys", "init")
    package = studio("package", "latest", "--model", MODEL)
    programs.succeed("eyelet-studio", "keys", "export-public", "public", "--key", f"model-{MODEL}")
    return Loop(
        programs, pictures, imported, version, run, evaluation, conversion, package, programs.folder / "public" / f"model-{MODEL}.pub.json"
    )


@pytest.fixture(scope="module")
def package(loop: Loop) -> Package:
    """Version 1, checked with the public key alone, as somebody else would."""
    return open_package(loop.folder, dict([public_key_from_bytes(loop.key.read_bytes())]))


def test_each_step_says_what_it_did(loop: Loop) -> None:
    assert loop.imported["taken"] == 3 * PER_CLASS
    assert sum(loop.version["splits"].values()) == 3 * PER_CLASS - APART
    assert loop.run["state"]["state"] == "done"
    assert loop.run["state"]["epochs_done"] == 3
    low, high = loop.evaluation["interval95"]
    assert low <= loop.evaluation["accuracy"] <= high
    assert sum(map(sum, loop.evaluation["confusion"])) == loop.version["splits"]["test"]
    assert loop.evaluation["accuracy"] > 0.9
    assert set(loop.conversion["variants"]) == TARGETS
    assert all(gate["passed"] for gate in loop.conversion["gates"].values())
    sizes = {name: file["size_bytes"] for name, file in loop.conversion["files"].items()}
    assert sizes["onnx-int8"] < sizes["onnx-float32"]


def test_the_acceptance_set_is_in_no_split(loop: Loop) -> None:
    version = json.loads((loop.programs.project / "versions" / "1.json").read_text())
    apart = json.loads((loop.programs.project / "acceptance" / "acceptance.json").read_text())["samples"]
    digests = {sample["sha256"] if isinstance(sample, dict) else sample for sample in apart}
    assert len(digests) == APART
    assert not digests & {sample["sha256"] for sample in version["samples"]}


def test_the_same_input_in_another_place_gives_the_same_version(loop: Loop, tmp_path: Path) -> None:
    elsewhere = tmp_path / "another name"
    shutil.copytree(loop.pictures, elsewhere / "the pictures")
    studio, project = loop.programs.studio, ("--project", elsewhere / "project")
    studio("import", elsewhere / "the pictures", *project)
    studio("acceptance", "--count", APART, *project)
    assert studio("freeze", "--seed", 0, *project)["digest"] == loop.version["digest"]
    assert studio("freeze", "--seed", 1, *project)["digest"] != loop.version["digest"]


def test_a_second_package_of_the_run_holds_the_same_model_files(loop: Loop, package: Package) -> None:
    second = loop.programs.studio("package", loop.run["id"], "--model", MODEL)
    assert second["version"] == 2
    again = open_package(loop.programs.project / "packages" / f"{MODEL}-2", None)
    files = {variant.file for variant in package.manifest.variants.values()} | {package.manifest.golden, package.manifest.reference}
    assert {name: again.manifest.files[name] for name in files} == {name: package.manifest.files[name] for name in files}
    assert again.manifest.lineage == package.manifest.lineage


def test_the_package_says_where_it_comes_from(loop: Loop, package: Package) -> None:
    manifest = package.manifest
    assert (manifest.name, manifest.version, set(manifest.variants)) == (MODEL, 1, TARGETS)
    assert manifest.labels == ("blue", "green", "red")
    assert manifest.lineage is not None
    assert manifest.lineage.dataset_version == loop.version["digest"]
    assert manifest.lineage.run == loop.run["id"]
    assert package.signed_by == f"model-{MODEL}"
    assert package.digest == loop.package["digest"]
    assert MODEL in package.path_of(manifest.model_card).read_text()


def test_a_package_is_refused_until_its_key_is_trusted(loop: Loop, tmp_path: Path) -> None:
    picture = next(loop.pictures.rglob("*.png"))
    programs, at = loop.programs, ("--home", tmp_path / "home")
    assert_refused(programs.run("eyelet-agent", "predict", loop.archive, picture, *at), "no trusted key vouches for")
    programs.succeed("eyelet-agent", "trust", "add", loop.key, *at)
    answer = programs.succeed("eyelet-agent", "predict", loop.archive, picture, "--json", *at).json
    assert answer["label"] == picture.parent.name
    programs.succeed("eyelet-agent", "trust", "remove", f"model-{MODEL}", *at)
    assert_refused(programs.run("eyelet-agent", "predict", loop.archive, picture, *at), "no trusted key vouches for")


@pytest.mark.parametrize("variant", sorted(TARGETS))
def test_desk_and_command_line_agree_on_the_golden_samples(loop: Loop, package: Package, variant: str) -> None:
    options = ("--key", loop.key, "--golden", "--variant", variant, "--json")
    *samples, verdict = loop.programs.succeed("eyelet-agent", "predict", loop.archive, *options).json_lines
    assert verdict["passed"] is True
    assert verdict["max_difference"] <= SAME
    assert len(samples) == package.manifest.golden_count == 16
    for sample, desk in zip(samples, desk_scores(package, variant), strict=True):
        np.testing.assert_allclose(sample["here"]["scores"], desk, atol=SAME)


def test_desk_command_line_and_endpoint_give_the_same_answer(loop: Loop, package: Package, programs: Programs) -> None:
    home = programs.folder / "device"
    at = ("--home", home)
    programs.succeed("eyelet-agent", "trust", "add", loop.key, *at)
    update = programs.succeed("eyelet-agent", "install", loop.archive, "--json", *at).json
    assert update["state"] == "done"
    programs.start("device", "eyelet-agent", "run", "--http-port", 0, *at)
    url = wait_for("the endpoint", lambda: endpoint_url(home), explain=lambda: programs.log("device"))
    picture = sorted(loop.pictures.rglob("*.png"))[PER_CLASS]
    served = ask_image(url, picture.read_bytes())
    variant = served["variant"]
    assert variant in TARGETS
    for frame, desk in zip(golden_frames(package), desk_scores(package, variant), strict=True):
        np.testing.assert_allclose(ask_frame(url, MODEL, frame), desk, atol=SAME)
    offline = programs.succeed("eyelet-agent", "predict", MODEL, picture, "--json", *at).json  # by the name of the installed model
    (desk_answer,) = programs.studio("predict", loop.archive, picture, "--variant", variant)
    assert served["label"] == offline["label"] == desk_answer["label"] == picture.parent.name
    assert [offline["score"], served["score"]] == pytest.approx([desk_answer["score"]] * 2, abs=SAME)
    assert {served["model_version"], offline["model_version"]} == {"1"}
    assert programs.end("device") == 0
    wait_for("the worker's end", lambda: not programs.alive(), explain=lambda: str(programs.alive()))


def golden_frames(package: Package) -> list[np.ndarray]:
    with np.load(package.path_of(package.manifest.golden), allow_pickle=False) as golden:
        return [golden[golden_input_key(index, "frame")] for index in range(package.manifest.golden_count)]


def desk_scores(package: Package, variant: str) -> list[np.ndarray]:
    """What the studio's engine answers in this process."""
    from edge_agent.engine.engine import open_engine

    with open_engine(package, variant) as engine:
        return [engine.predict({"frame": frame}).scores for frame in golden_frames(package)]


def test_the_archive_is_the_folder_and_nothing_else(loop: Loop, tmp_path: Path) -> None:
    from contract.package import extract_archive, write_archive

    again = write_archive(loop.folder, tmp_path / "again.eyelet")
    assert sha256_of_file(again) == sha256_of_file(loop.archive)
    unpacked = extract_archive(loop.archive, tmp_path / "unpacked")
    assert open_package(unpacked, None).digest == loop.package["digest"]
