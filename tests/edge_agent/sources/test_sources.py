import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from contract.application import Source
from contract.manifest import TensorSpec
from edge_agent.engine.model_spec import ModelSpec
from edge_agent.sources.batch import plan_batch
from edge_agent.sources.pace import Pace
from edge_agent.sources.source import SourceDropped, SourceError, SourceSample
from edge_agent.sources.table import SOURCES, open_source

SCORES = (TensorSpec("scores", "float32", (2,)),)
IMAGES = ModelSpec("image-classification", ("a", "b"), (TensorSpec("frame", "uint8", (-1, -1, 3)),), SCORES, {})
ROWS = ModelSpec("tabular-classification", ("a", "b"), (TensorSpec("age", "float32", (1,)), TensorSpec("city", "string", (1,))), SCORES, {})


def taken(document: Source, spec: ModelSpec, folder: Path, limit: int = 100) -> list[SourceSample | SourceDropped]:
    async def collect() -> list[SourceSample | SourceDropped]:
        found = []
        items: AsyncIterator[SourceSample | SourceDropped] = open_source(document, spec, folder).items()
        async for item in items:
            found.append(item)
            if len(found) == limit:
                break
        await items.aclose()  # type: ignore[attr-defined]
        return found

    return asyncio.run(collect())


def write_image(path: Path, grey: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 3), (grey, grey, grey)).save(path)


def test_a_folder_is_replayed_in_order_and_again(tmp_path: Path) -> None:
    write_image(tmp_path / "images" / "b.png", 2)
    write_image(tmp_path / "images" / "a" / "z.png", 1)
    (tmp_path / "images" / "notes.txt").write_text("no image")
    (tmp_path / "images" / "c.png").write_bytes(b"broken")
    items = taken(Source("folder", {"path": "images", "per_second": 1000}), IMAGES, tmp_path, limit=5)
    assert [item.name for item in items] == ["a/z.png", "b.png", "c.png", "a/z.png", "b.png"]
    assert isinstance(items[0], SourceSample)
    assert items[0].sample["frame"].shape == (3, 4, 3)
    assert isinstance(items[2], SourceDropped)


def test_without_repeat_it_ends(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", 1)
    assert len(taken(Source("folder", {"path": str(tmp_path), "per_second": 1000, "repeat": False}), IMAGES, Path("/"))) == 1


def test_rows_go_to_inputs_by_name_and_bad_ones_are_dropped(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("city,other,age\nKöln,1,3.5\nBonn,2,old\nAachen,3,\nTrier\n", encoding="utf-8")
    items = taken(Source("csv", {"path": "rows.csv", "per_second": 10_000, "repeat": False}), ROWS, tmp_path)
    kinds = [type(item) for item in items]
    assert kinds == [SourceSample, SourceDropped, SourceSample, SourceDropped]
    first = items[0].sample
    assert (first["city"][0], first["age"].dtype, float(first["age"][0])) == ("Köln", np.float32, 3.5)
    assert np.isnan(items[2].sample["age"][0])
    assert "'old' is no number" in items[1].reason
    assert items[0].name == "rows.csv:2"


def test_a_row_of_another_length_is_dropped_as_the_endpoint_refuses_it(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("age,city,note\n1,Aachen,x\n2,Aachen\n3,Aachen,x,y\n")
    items = taken(Source("csv", {"path": "rows.csv", "per_second": 10_000, "repeat": False}), ROWS, tmp_path)
    assert [getattr(item, "reason", "") for item in items] == [
        "",
        "the row has fewer cells than the header",
        "the row has more cells than the header",
    ]


@pytest.mark.parametrize(
    ("document", "spec", "words"),
    [
        (Source("telescope"), IMAGES, "'telescope' is not supported by this agent version; it knows folder, csv"),
        (Source("folder", {}), IMAGES, "missing required field `path`"),
        (Source("folder", {"path": "x", "speed": 3}), IMAGES, "known are path, per_second, repeat"),
        (Source("folder", {"path": "x", "per_second": 0}), IMAGES, "not valid"),
        (Source("folder", {"path": "absent"}), IMAGES, "is no folder"),
        (Source("folder", {"path": "."}), IMAGES, "holds no image"),
        (Source("folder", {"path": "."}), ROWS, "one uint8 input"),
        (Source("csv", {"path": "absent.csv"}), ROWS, "can not be read"),
        (Source("csv", {"path": "short.csv"}), ROWS, "has no column city; it has age"),
        (Source("csv", {"path": "empty.csv"}), ROWS, "has no rows"),
        (Source("csv", {"path": "semicolons.csv"}), ROWS, "it has age;city; cells are separated by commas"),
        (Source("csv", {"path": "twice.csv"}), ROWS, "has the column age more than once"),
        (Source("csv", {"path": "latin.csv"}), ROWS, "is not in UTF-8; save it as CSV in UTF-8"),
    ],
)
def test_what_can_not_be_opened_says_why(tmp_path: Path, document: Source, spec: ModelSpec, words: str) -> None:
    (tmp_path / "short.csv").write_text("age\n1\n")
    (tmp_path / "empty.csv").write_text("age,city\n")
    (tmp_path / "semicolons.csv").write_text("age;city\n1;a\n")
    (tmp_path / "twice.csv").write_text("age,age,city\n1,2,a\n")
    (tmp_path / "latin.csv").write_bytes("age,city\n1,Köln\n".encode("latin-1"))
    with pytest.raises(SourceError, match=words):
        open_source(document, spec, tmp_path)


def test_the_table_lists_every_module_of_the_folder() -> None:
    folder = Path(__file__).parents[3] / "edge_agent" / "sources"
    kinds = {path.stem for path in folder.glob("*.py") if "def open_source(options" in path.read_text(encoding="utf-8")}
    assert {kind.open_source.__module__.rpartition(".")[2] for kind in SOURCES.values()} == kinds


def test_the_pace_is_kept_and_a_late_turn_is_not_made_up_for() -> None:
    async def turns() -> list[float]:
        loop = asyncio.get_running_loop()
        pace = Pace(100)
        moments = []
        for turn in range(6):
            await pace.wait()
            moments.append(loop.time())
            if turn == 2:
                await asyncio.sleep(0.05)
        return moments

    moments = asyncio.run(turns())
    assert moments[2] - moments[0] >= 0.019
    assert moments[5] - moments[3] >= 0.0099


def test_a_batch_expands_folders_and_keeps_going(tmp_path: Path) -> None:
    write_image(tmp_path / "a" / "1.png", 1)
    (tmp_path / "b.png").write_bytes(b"broken")
    batch = plan_batch([tmp_path / "a", tmp_path / "b.png"], IMAGES)
    assert batch.file_count == 2
    assert [type(item) for item, _ in batch.items()] == [SourceSample, SourceDropped]
    with pytest.raises(SourceError, match="takes rows of CSV files"):
        plan_batch([tmp_path], ROWS)
    with pytest.raises(SourceError, match="does not exist"):
        plan_batch([tmp_path / "absent"], IMAGES)
