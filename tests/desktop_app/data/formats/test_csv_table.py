import contextlib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from desktop_app.data.columns import Column
from desktop_app.data.formats import csv_table
from desktop_app.data.formats.cell_values import cell_kind, kind_of, parse_cell, wider
from desktop_app.data.formats.csv_dialect import find_delimiter, has_header, head_rows
from desktop_app.data.formats.source import ImportOptions, KnownColumns, OpenedSource, Refused, Taken
from desktop_app.errors import SourceError
from desktop_app.jobs.context import SilentReport

NONE_KNOWN = KnownColumns()
IRIS = "5.1,3.5,setosa\n4.9,3.0,setosa\n7.0,3.2,versicolor\n6.4,3.2,versicolor\n"


def opened(folder: Path, text: str | bytes, *, name: str = "t.csv", known: KnownColumns = NONE_KNOWN, **options: object) -> OpenedSource:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return csv_table.open_source(path, ImportOptions(**options), known, SilentReport())


def rows(source: OpenedSource) -> list[dict[str, object]]:
    return [msgspec.json.decode(item.row) for item in source.items if isinstance(item, Taken) and item.row]


def refusals(source: OpenedSource) -> dict[str, str]:
    return {item.name: item.reason for item in source.items if isinstance(item, Refused)}


def test_a_table_without_header_is_read_with_numbered_columns(tmp_path: Path) -> None:
    source = opened(tmp_path, IRIS)
    assert source.columns == (Column("column_1", "float"), Column("column_2", "float"), Column("column_3", "category"))
    assert source.target == "column_3"
    assert rows(source)[0] == {"column_1": 5.1, "column_2": 3.5, "column_3": "setosa"}
    assert "target: 'column_3' (choose another with --target)" in source.notes


def test_a_header_is_recognised(tmp_path: Path) -> None:
    source = opened(tmp_path, 'length,width,"kind"\n' + IRIS)
    assert [column.name for column in source.columns] == ["length", "width", "kind"]
    assert len(rows(source)) == 4


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_are_found(tmp_path: Path, delimiter: str) -> None:
    assert len(rows(opened(tmp_path, IRIS.replace(",", delimiter)))) == 4


def test_quoted_cells_keep_delimiters_quotes_and_line_ends(tmp_path: Path) -> None:
    text = 'id,text,kind\n1,"a, ""b""\nc",x\n2,"plain; text",y\n'
    assert [row["text"] for row in rows(opened(tmp_path, text))] == ['a, "b"\nc', "plain; text"]


def test_missing_cells_are_counted_and_kept_as_missing(tmp_path: Path) -> None:
    source = opened(tmp_path, "a,b,kind\n1,?,x\n,2.5,y\n3,NA,x\n")
    assert source.missing == {"a": 1, "b": 2}
    assert [(row["a"], row["b"]) for row in rows(source)] == [(1, None), (None, 2.5), (3, None)]


def test_a_row_without_target_is_unlabelled(tmp_path: Path) -> None:
    items = list(opened(tmp_path, "a,kind\n1,x\n2,\n3,y\n").items)
    assert [item.label for item in items if isinstance(item, Taken)] == ["x", None, "y"]


def test_rows_that_do_not_fit_are_refused_by_line_and_the_rest_taken(tmp_path: Path) -> None:
    source = opened(tmp_path, "a,b,kind\n1,2,x\n1,2\n1,2,3,4\n\n5,6,y\n")
    items = list(source.items)
    assert [(i.name, i.reason) for i in items if isinstance(i, Refused)] == [
        ("t.csv:3", "it has 2 cells, expected 3"),
        ("t.csv:4", "it has 4 cells, expected 3"),
    ]
    assert [i.name for i in items if isinstance(i, Taken)] == ["t.csv:2", "t.csv:6"]


def test_the_target_may_be_any_column_and_a_wrong_one_names_those_there_are(tmp_path: Path) -> None:
    source = opened(tmp_path, "kind,a\nx,1\ny,2\n", target="kind")
    assert [item.label for item in source.items if isinstance(item, Taken)] == ["x", "y"]
    with pytest.raises(SourceError, match="no column 'color'; it has kind, a"):
        opened(tmp_path, "kind,a\nx,1\ny,2\n", target="color")


def test_a_measurement_is_no_class_unless_the_user_says_so(tmp_path: Path) -> None:
    text = "day,temperature\n" + "".join(f"{day},{day / 10 + 0.05}\n" for day in range(40))
    with pytest.raises(SourceError, match="40 different numbers with fractions: those are no classes"):
        opened(tmp_path, text)
    assert len(rows(opened(tmp_path, text, target="temperature"))) == 40


def test_too_many_classes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="more than 1000 different values"):
        opened(tmp_path, "".join(f"{n},word{n}\n" for n in range(1100)), target="column_2")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"\n\n\n", "no rows|one column"),
        (b"only\none\ncolumn\n", "one column only"),
        (b"a,b\n\xe9,1\n\xfc,2\n", "not in the encoding utf-8"),
        (b"a,a,b\n1,2,x\n3,4,y\n", "two columns of the table are called|no column"),
        (b"a,b\n1,\n2,\n", "no values"),
    ],
)
def test_a_file_that_is_no_table_is_refused_with_the_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    with pytest.raises(SourceError, match=reason):
        opened(tmp_path, content, header=True)


def test_encodings_are_read_as_named_or_marked(tmp_path: Path) -> None:
    text = "größe,art\n1,süß\n2,天\n"
    assert rows(opened(tmp_path, text.encode("utf-8-sig")))[0] == {"größe": 1, "art": "süß"}
    assert rows(opened(tmp_path, text.encode("utf-16")))[1] == {"größe": 2, "art": "天"}
    assert rows(opened(tmp_path, "größe,art\n1,süß\n2,bär\n".encode("cp1252"), encoding="cp1252"))[0]["art"] == "süß"
    with pytest.raises(SourceError, match="no encoding 'klingon'"):
        opened(tmp_path, text, encoding="klingon")


def test_a_later_table_is_read_with_the_kinds_the_project_has(tmp_path: Path) -> None:
    known = KnownColumns((Column("a", "float"), Column("b", "integer")), "kind")
    source = opened(tmp_path, "b,a,kind\n1,2,x\n1.5,2,y\n", known=known)
    items = list(source.items)
    assert msgspec.json.decode(items[0].row)["a"] == 2.0
    assert '"a":2.0' in items[0].row
    assert items[1] == Refused("t.csv:3", "column 'b': expected a whole number, got '1.5'")


def test_the_same_values_have_one_digest_whatever_the_file_looks_like(tmp_path: Path) -> None:
    first = opened(tmp_path, "a,b,kind\n1.50,x,k\n2,y,l\n", name="1.csv")
    second = opened(tmp_path, 'b;kind;a\n"x"; "k";1.5\ny;l;2.0\n', name="2.csv", target="kind")
    assert {i.sha256 for i in first.items if isinstance(i, Taken)} == {i.sha256 for i in second.items if isinstance(i, Taken)}


def test_rows_with_the_same_features_are_one_group_whatever_their_label(tmp_path: Path) -> None:
    items = [item for item in opened(tmp_path, "a,kind\n1,x\n1,y\n2,x\n").items if isinstance(item, Taken)]
    assert items[0].group_key == items[1].group_key != items[2].group_key
    assert items[0].sha256 != items[1].sha256


def test_a_column_without_values_is_left_out_and_said(tmp_path: Path) -> None:
    source = opened(tmp_path, "a,nothing,kind\n1,,x\n2,?,y\n")
    assert [column.name for column in source.columns] == ["a", "kind"]
    assert "column 'nothing' has no values and was left out" in source.notes


@pytest.mark.parametrize(
    ("cell", "kind"),
    [("1", "integer"), ("-0", "integer"), ("007", "category"), ("1e3", "float"), (".5", "float"), ("1_000", "category"),
     ("inf", "category"), ("9" * 30, "float"), ("0x1f", "category"), ("1,5", "category"), ("٣", "category"), ("1e999", "category")],
)  # fmt: skip
def test_kinds_of_cells(cell: str, kind: str) -> None:
    assert cell_kind(cell) == kind


@given(st.lists(st.one_of(st.integers(-(10**6), 10**6).map(str), st.floats(-1e6, 1e6).map(str), st.text("abc", min_size=1)), min_size=1))
def test_every_cell_of_a_column_parses_as_the_columns_kind(cells: list[str]) -> None:
    kind = kind_of(cells)
    for cell in cells:
        value = parse_cell(cell, kind)
        assert isinstance(value, {"integer": int, "float": float, "category": str}[kind])
        assert wider(cell_kind(cell), kind) == kind


@given(st.text(max_size=200))
def test_looking_at_any_text_never_breaks(text: str) -> None:
    try:
        delimiter = find_delimiter(text, "")
    except SourceError:
        return
    has_header(head_rows(text, delimiter))


@given(st.binary(max_size=300))
def test_any_bytes_are_taken_or_refused_in_words(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("csv")
    with contextlib.suppress(SourceError):  # anything else fails the test
        assert all(item.name for item in opened(folder, content).items)
