"""A CSV becomes two models of rows, one of them a package that answers for a CSV on a device."""

import csv
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.stories.programs import Programs, assert_refused

pytestmark = pytest.mark.story

MODEL = "wine"
APART = 30


class Cellar(NamedTuple):
    """What the commands printed, and the table."""

    programs: Programs
    imported: dict[str, Any]
    evaluations: dict[str, dict[str, Any]]
    conversion: dict[str, Any]
    table: list[list[str]]
    package: Path
    key: Path


def write_wine(path: Path) -> list[list[str]]:
    """scikit-learn's 178 wines with their cultivar (Forina et al., UCI), as a person keeps them: a name with a comma, an empty cell."""
    from sklearn.datasets import load_wine

    wine = load_wine()
    names = [f"{name}, as measured" if name == "ash" else name for name in wine.feature_names]
    rows = [[*map(str, values), str(wine.target_names[target])] for values, target in zip(wine.data, wine.target, strict=True)]
    rows[5][2] = ""
    table = [[*names, "cultivar"], *rows]
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(table)
    return table


@pytest.fixture(scope="module")
def cellar(programs: Programs) -> Cellar:
    studio = programs.studio
    table = write_wine(programs.folder / "wine.csv")
    imported = studio("import", "wine.csv", "--target", "cultivar")
    studio("acceptance", "--count", APART)
    studio("freeze")
    evaluations = {}
    for architecture in ("logistic-regression", "random-forest"):
        run = studio("train", "--architecture", architecture, "--threads", 1)
        evaluations[architecture] = studio("evaluate", run["id"])
    conversion = studio("convert", "latest")
    studio("keys", "init")
    studio("package", "latest", "--model", MODEL)
    programs.succeed("eyelet-studio", "keys", "export-public", "public")
    package = programs.project / "packages" / f"{MODEL}-1.eyelet"
    return Cellar(programs, imported, evaluations, conversion, table, package, programs.folder / "public" / f"model-{MODEL}.pub.json")


def test_the_table_is_understood(cellar: Cellar) -> None:
    assert (cellar.imported["taken"], cellar.imported["target"]) == (178, "cultivar")
    assert cellar.imported["classes"] == {"class_0": 59, "class_1": 71, "class_2": 48}
    assert cellar.imported["missing"] == {"ash, as measured": 1}


def test_both_models_know_their_wine(cellar: Cellar) -> None:
    for architecture, evaluation in cellar.evaluations.items():
        assert evaluation["accuracy"] > 0.85, architecture
        assert len(evaluation["confusion"]) == 3


def test_the_device_answers_for_rows_as_the_desk_does(cellar: Cellar, tmp_path: Path) -> None:
    header, *rows = cellar.table
    chosen = [rows[5], *rows[::29]]
    asked = tmp_path / "rows.csv"
    with asked.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header[:-1], *(row[:-1] for row in chosen)])
    programs = cellar.programs
    device = programs.succeed("eyelet-agent", "predict", cellar.package, asked, "--key", cellar.key, "--json").json_lines
    desk = programs.studio("predict", cellar.package, asked)
    assert len(device) == len(desk) == len(chosen)
    assert [answer["label"] for answer in device] == [answer["label"] for answer in desk]
    assert [answer["score"] for answer in device] == pytest.approx([answer["score"] for answer in desk], abs=1e-6)
    right = sum(answer["label"] == row[-1] for answer, row in zip(device, chosen, strict=True))
    assert right >= len(chosen) - 1
    assert device[0]["input"] == "rows.csv:2"


def test_rows_of_another_shape_are_refused_in_words(cellar: Cellar, tmp_path: Path) -> None:
    asked = tmp_path / "rows.csv"
    asked.write_text("alcohol,colour\n12.5,red\n")
    ran = cellar.programs.run("eyelet-agent", "predict", cellar.package, asked, "--key", cellar.key)
    assert_refused(ran, "rows.csv", "malic_acid")


def test_a_table_for_a_project_of_pictures_is_refused(cellar: Cellar) -> None:
    ran = cellar.programs.run("eyelet-studio", "import", "wine.csv", "--project", "other", "--task", "image-classification")
    assert_refused(ran, "tabular-classification")
    assert not (cellar.programs.folder / "other").exists()
