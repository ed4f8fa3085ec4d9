import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from desktop_app.data.catalogue import (
    SampleQuery,
    class_counts,
    count_samples,
    exclude,
    find_sample,
    get_sample,
    list_operations,
    list_samples,
    set_label,
    undo,
)
from desktop_app.data.project import Project
from desktop_app.errors import DataError


def ids_of(project: Project, label: str) -> list[int]:
    return [sample.id for sample in list_samples(project, query=SampleQuery(label=label))]


def state(project: Project) -> list[tuple[object, ...]]:
    return project.db.execute("SELECT id, label, excluded, queued, conflict FROM samples ORDER BY id").fetchall()


def test_samples_are_listed_in_pages(filled: Project) -> None:
    names = [sample.name for page in (0, 20, 40) for sample in list_samples(filled, offset=page, limit=20)]
    assert len(names) == 50
    assert names == sorted(names)


def test_queries_restrict(filled: Project) -> None:
    exclude(filled, ids_of(filled, "owl")[:4])
    set_label(filled, ids_of(filled, "dog")[:3], None)
    assert count_samples(filled, SampleQuery(label="cat")) == 20
    assert count_samples(filled, SampleQuery(excluded=True)) == 4
    assert count_samples(filled, SampleQuery(labelled=False)) == 3
    assert count_samples(filled, SampleQuery(text="CAT/00")) == 10
    assert count_samples(filled, SampleQuery(text="%")) == 0
    assert class_counts(filled) == {"cat": 20, "dog": 17, "owl": 6}


def test_an_unknown_order_is_refused(filled: Project) -> None:
    with pytest.raises(DataError, match="name, mixed, newest, score"):
        list_samples(filled, query=SampleQuery(order="size; DROP TABLE samples"))


def test_labels_are_set_and_undone(filled: Project) -> None:
    before = state(filled)
    cats = ids_of(filled, "cat")
    assert set_label(filled, cats[:2], " lynx ") == 2
    assert get_sample(filled, cats[0]).label == "lynx"
    assert list_operations(filled)[0][1] == "label 2 samples as 'lynx'"
    assert undo(filled) == "label 2 samples as 'lynx'"
    assert state(filled) == before
    assert undo(filled) is None


@pytest.mark.parametrize("label", ["", "  ", "a\nb", "\x1b[2J", "x" * 201])
def test_a_label_that_can_not_be_shown_is_refused(filled: Project, label: str) -> None:
    with pytest.raises(DataError, match="can not be a label"):
        set_label(filled, [1], label)


def test_an_unknown_sample_changes_nothing(filled: Project) -> None:
    before = state(filled)
    with pytest.raises(DataError, match=r"no sample 999 .*nothing was changed"):
        set_label(filled, [1, 999], "lynx")
    assert state(filled) == before
    assert list_operations(filled) == []


def test_samples_are_found_by_id_and_content(filled: Project) -> None:
    sample = get_sample(filled, 1)
    assert find_sample(filled, sample.sha256) == sample
    assert find_sample(filled, "0" * 64) is None
    with pytest.raises(DataError, match="no sample 12345"):
        get_sample(filled, 12345)


def test_thousands_of_samples_are_labelled_at_once_and_undone(project: Project) -> None:
    rows = [(f"{number:064x}", f"{number:064x}", f"{number}.png") for number in range(3000)]
    with project.transaction() as db:
        db.conn.executemany("INSERT INTO samples (sha256, group_key, name, size_bytes, source) VALUES (?, ?, ?, 1, 'import')", rows)
    assert set_label(project, list(range(1, 3001)), "x") == 3000
    assert class_counts(project) == {"x": 3000}
    undo(project)
    assert class_counts(project) == {}


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["label", "clear", "exclude", "include", "undo"]), st.sets(st.integers(1, 12), min_size=1)), max_size=12
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(actions=ACTIONS)
def test_undoing_everything_brings_the_beginning_back(filled: Project, actions: list[tuple[str, set[int]]]) -> None:
    before, annotations = state(filled), filled.db.execute("SELECT * FROM annotations").fetchall()
    for action, chosen in actions:
        if action == "undo":
            undo(filled)
        elif action in {"label", "clear"}:
            set_label(filled, sorted(chosen), "lynx" if action == "label" else None)
        else:
            exclude(filled, sorted(chosen), action == "exclude")
    while undo(filled) is not None:
        pass
    assert state(filled) == before
    assert filled.db.execute("SELECT * FROM annotations").fetchall() == annotations
