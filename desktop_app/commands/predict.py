"""`eyelet-studio predict`: ask a package about images or about the rows of a table, through the device's engine."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from desktop_app.commands.terminal import json_option, print_result
from desktop_app.errors import DataError

if TYPE_CHECKING:
    import numpy as np

    from contract.package import Package
    from edge_agent.engine.engine import Engine

TABLE_SUFFIXES = {".csv", ".tsv"}


class Answer(msgspec.Struct, frozen=True):
    """One sample's answer; `accepted` is whether the score reaches the label's threshold, `error` why there is none."""

    name: str
    label: str = ""
    score: float = 0.0
    accepted: bool = False
    latency_us: float = 0.0
    error: str = ""


@click.command("predict")
@click.argument("package", type=click.Path(path_type=Path, exists=True))
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--variant", default="", help="Which variant answers.  [default: the first of the package, in float32 if there is one]")
@json_option
def command(package: Path, files: tuple[Path, ...], variant: str, as_json: bool) -> None:
    """Ask PACKAGE (a folder or *.eyelet; its digests are checked, its signature is not) about FILES: images, or CSV tables by row."""
    from contract.package import opened
    from edge_agent.engine.engine import open_engine

    with opened(package, None) as found, open_engine(found, variant or default_variant(found)) as engine:
        answers = [answer for file in files for answer in answer_file(engine, file)]
    lines = [f"{a.name}: {a.error or f'{a.label} {a.score:.3f}'}" for a in answers]
    print_result(answers, "\n".join(lines), as_json=as_json)
    if all(answer.error for answer in answers):
        raise DataError("none of the files could be answered", "The lines above say why.")


def default_variant(package: "Package") -> str:
    """The ONNX float32 variant where there is one, else the first by name."""
    names = sorted(package.manifest.variants)
    return "onnx-float32" if "onnx-float32" in names else names[0]


def answer_file(engine: "Engine", file: Path) -> Iterator[Answer]:
    """One answer for an image, one per row for a table; what can not be read is an answer with its error."""
    from contract.errors import ContractError
    from desktop_app.data.plain_names import plain_name
    from desktop_app.errors import StudioError
    from edge_agent.engine.errors import EngineError

    name = plain_name(file.name)
    samples = read_rows(engine, file) if file.suffix.lower() in TABLE_SUFFIXES else read_image(engine, file)
    try:
        for place, sample in samples:
            prediction = engine.predict(sample)
            yield Answer(name + place, prediction.label, prediction.score, prediction.accepted, round(prediction.latency_us, 1))
    except (EngineError, StudioError, ContractError, OSError) as error:
        yield Answer(name, error=str(error))


def read_image(engine: "Engine", file: Path) -> "Iterator[tuple[str, dict[str, np.ndarray]]]":
    """The image as the model's one input."""
    from edge_agent.engine.decoding import read_image as decode

    if len(engine.spec.inputs) != 1:
        raise DataError(f"this model takes {len(engine.spec.inputs)} columns, not an image", "Give it a CSV table.")
    yield "", {engine.spec.inputs[0].name: decode(file)}


def read_rows(engine: "Engine", file: Path) -> "Iterator[tuple[str, dict[str, np.ndarray]]]":
    """The rows of a table that has a column per input of the model; others are ignored.

    Raises:
        DataError: a column is missing, or a cell is not what its column takes.
    """
    from desktop_app.data.columns import CATEGORY, FLOAT, Column
    from desktop_app.data.formats.cell_values import parse_cell
    from desktop_app.data.formats.csv_table import open_table
    from desktop_app.data.formats.csv_table import read_rows as read_cells
    from desktop_app.data.formats.source import ImportOptions
    from desktop_app.tasks.tabular_classification import column_value

    table = open_table(file, ImportOptions())
    columns = [Column(spec.name, CATEGORY if spec.dtype == "string" else FLOAT) for spec in engine.spec.inputs]
    absent = [column.name for column in columns if column.name not in table.names]
    if absent:
        raise DataError(f"the table has no column {absent[0]!r}, which the model takes")
    for line, cells in read_cells(table):
        if isinstance(cells, str):
            raise DataError(f"line {line}: {cells}")
        try:
            values = {column.name: parse_cell(cells[table.names.index(column.name)], column.kind) for column in columns}
        except ValueError as error:
            raise DataError(f"line {line}: {error}") from error
        yield f":{line}", {column.name: column_value(column, values[column.name]) for column in columns}
