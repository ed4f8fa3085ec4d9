from pathlib import Path

import numpy as np
import pytest

import desktop_app.tasks as table
from desktop_app.data.columns import Column
from desktop_app.data.loading import load_image
from desktop_app.data.project import TASK_NAMES
from desktop_app.tasks import TASKS
from desktop_app.tasks.tabular_classification import column_spec, column_value
from desktop_app.training.architectures import ARCHITECTURES
from tests.desktop_app.sample_projects import make_image_project, make_table_project


def test_table_folder_and_projects_name_the_same_tasks() -> None:
    folder = Path(table.__file__).parent
    files = {path.stem.replace("_", "-") for path in folder.glob("*.py") if path.stem not in {"__init__", "task"}}
    assert set(TASKS) == files == set(TASK_NAMES)
    assert all(name == task.name for name, task in TASKS.items())


@pytest.mark.parametrize("name", TASKS)
def test_the_default_architecture_is_one_of_the_task(name) -> None:
    assert ARCHITECTURES[TASKS[name].default_architecture].task == name


def test_an_image_is_given_as_it_was_imported(tmp_path) -> None:
    project, version = make_image_project(tmp_path, per_class=4)
    with project:
        task = TASKS[version.task]
        samples = version.of_split("test")
        (frame,) = (inputs["frame"] for inputs in task.raw_inputs(project, version, samples[:1]))
        assert frame.shape == (10, 12, 3)
        assert np.array_equal(frame, load_image(project, samples[0].sha256))
        spec = task.spec(version)
        assert (spec.inputs[0].name, spec.inputs[0].shape, spec.outputs[0].shape) == ("frame", (-1, -1, 3), (3,))
        assert spec.labels == ("blue", "green", "red")
        assert task.input_size(version) == 32


def test_a_row_is_given_column_by_column(tmp_path) -> None:
    project, version = make_table_project(tmp_path, rows=60)
    with project:
        inputs = list(TASKS[version.task].raw_inputs(project, version, version.samples))
        spec = TASKS[version.task].spec(version)
        assert [tensor.name for tensor in spec.inputs] == list(inputs[0]) == ["weight g", "length", "seeds", "skin"]
        assert {"green", "red", "yellow"} <= set(spec.inputs[3].categories)
        missing = [sum(np.isnan(row["length"][0]) for row in inputs), sum(row["skin"][0] == "" for row in inputs)]
        expected = [sum(sample.row[name] is None for sample in version.samples) for name in ("length", "skin")]
        assert missing == expected


def test_a_missing_value_is_nan_or_empty_text() -> None:
    number, category = Column("x", "integer"), Column("y", "category", ("a",))
    assert np.isnan(column_value(number, None)).all()
    assert column_value(number, 3).dtype == np.float32
    assert column_value(category, None).tolist() == [""]
    assert column_spec(category).categories == ("a",)
    assert column_spec(number).dtype == "float32"
