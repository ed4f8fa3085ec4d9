"""The pure parts: filters, recognition, next step, keys, Pareto front, latency of arms."""

import datetime
from pathlib import Path

import pytest

from contract.codec import format_time
from contract.messages import VersionRef, Window
from contract.rest import WindowView
from contract.sketches import CONFIDENCE_BOUNDS, LATENCY_BOUNDS_US, Histogram
from desktop_app.data.catalogue import SampleQuery
from desktop_app.data.project import create_project
from desktop_app.errors import DataError, SourceError
from desktop_app.ui.charts.pareto import Bubble, front
from desktop_app.ui.pages.next_step import next_step
from desktop_app.ui.pages.piles import keys_for
from desktop_app.ui.pages.variant_cells import model_id, variant_title
from desktop_app.ui.questions.arms import latency_by_arm
from desktop_app.ui.questions.filters import parse_filter, with_word
from desktop_app.ui.questions.holdings import read_holdings
from desktop_app.ui.questions.recognition import recognise
from desktop_app.ui.questions.sample_project import free_folder, write_digits


def test_a_filter_line_becomes_a_query():
    assert parse_filter('label:"a cat" split:train frog 7') == SampleQuery(label="a cat", split="train", text="frog 7", order="mixed")
    assert parse_filter("is:queued sort:score") == SampleQuery(queued=True, order="score")
    assert parse_filter("split:none") == SampleQuery(split="", order="mixed")


@pytest.mark.parametrize(("line", "hint"), [("lable:cat", "label"), ("is:qeued", "queued"), ("sort:nwest", "newest")])
def test_a_filter_that_is_misspelt_is_refused_with_a_hint(line: str, hint: str):
    with pytest.raises(DataError, match=f"Did you mean {hint}"):
        parse_filter(line)


def test_a_bar_replaces_its_word_in_the_filter_line():
    assert with_word("label:cat frog", "label", "a dog") == "frog 'label:a dog'"
    assert with_word("label:cat frog", "label", "") == "frog"
    assert parse_filter(with_word("", "label", "it's 5 o'clock")).label == "it's 5 o'clock"


def test_a_folder_of_pictures_is_recognised(tmp_path: Path):
    for name in ("cat/1.png", "cat/2.JPG", "dog/1.png", "notes.txt"):
        (tmp_path / "pets" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pets" / name).write_bytes(b"")
    found = recognise(tmp_path / "pets")
    assert (found.task, found.files, found.other_files, found.classes) == ("image-classification", 3, 1, ("cat", "dog"))
    assert found.name == "pets"


def test_a_table_is_recognised_with_its_target(tmp_path: Path):
    (tmp_path / "iris.csv").write_text("width;species;height\n1;a;2\n2;b;3\n")
    found = recognise(tmp_path / "iris.csv")
    assert (found.task, found.files, found.columns, found.target) == (
        "tabular-classification",
        2,
        ("width", "species", "height"),
        "species",
    )


@pytest.mark.parametrize("name", ["absent", "text.txt"])
def test_what_is_no_source_is_refused(tmp_path: Path, name: str):
    (tmp_path / "text.txt").write_text("hello")
    with pytest.raises(SourceError):
        recognise(tmp_path / name)


def test_the_next_step_of_an_empty_project_is_to_import(tmp_path: Path):
    with create_project(tmp_path / "p", "p", "image-classification") as project:
        assert next_step(read_holdings(project)).page == "data"


def test_the_digits_are_written_as_pictures(tmp_path: Path):
    assert write_digits(tmp_path / "digits") == 1797
    assert sorted(path.name for path in (tmp_path / "digits").iterdir()) == [str(digit) for digit in range(10)]
    assert free_folder(tmp_path, "digits") == tmp_path / "digits-2"
    assert free_folder(tmp_path, "a/b").name == "a-b"


def test_a_class_named_like_a_digit_gets_that_key():
    assert keys_for(("cat", "dog")) == {"cat": "1", "dog": "2"}
    assert keys_for(("0", "1", "other")) == {"0": "0", "1": "1", "other": "2"}


def test_the_front_holds_what_nothing_else_beats():
    a, b, c = Bubble("a", 1, 90, 1), Bubble("b", 2, 95, 1), Bubble("c", 3, 94, 1)
    assert front((c, b, a)) == [a, b]


def test_names_for_people_and_for_machines():
    assert variant_title("litert-int8") == "LiteRT int8"
    assert model_id("Handwritten digits!") == "handwritten-digits"
    assert model_id("数字") == "model"


def window(view_id: int, arm: str, second: float, latency_us: float) -> WindowView:
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc) + datetime.timedelta(seconds=second)
    latency = Histogram.of(LATENCY_BOUNDS_US, [latency_us] * 10)
    made = Window(
        schema_version=1, stream="s", sequence=view_id, boot_id="b", index=view_id, slot="main", target=VersionRef("m", 1, "0" * 64),
        variant="onnx-float32", started_at=format_time(start), duration_s=2, count=10, latency_us=latency,
        confidence=Histogram.empty(CONFIDENCE_BOUNDS), class_counts={}, arm=arm,
    )  # fmt: skip
    return WindowView(view_id, f"pi-{arm}", format_time(start), made)


def test_latency_is_merged_by_arm_and_time():
    windows = [
        window(1, "control", 0, 1000),
        window(2, "treatment", 1, 4000),
        window(3, "control", 60, 2000),
        window(4, "control", 60.5, 9000),
    ]
    control, treatment = latency_by_arm(windows)
    assert (control.arm, len(control.seconds)) == ("control", 2)
    assert control.p95_ms[0] == pytest.approx(1.0, rel=0.3)
    assert control.p95_ms[1] == pytest.approx(9.0, rel=0.3)
    assert treatment.p95_ms == pytest.approx((4.0,), rel=0.3)
    assert latency_by_arm([]) == ()
