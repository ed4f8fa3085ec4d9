"""The page that a worker and its supervisor share."""

import os
import time
from pathlib import Path

import pytest

from contract.package import Package
from edge_agent.engine.engine import Engine
from edge_agent.engine.errors import InputError
from edge_agent.worker.progress import environment_for, make_page, open_inherited
from tests.simulators.packages import make_frames


def test_every_inference_is_seen_by_the_other_end(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_page()
    assert made is not None
    seen, descriptor = made
    monkeypatch.setenv(*environment_for(descriptor).popitem())
    page = open_inherited()
    assert page is not None
    page.watch(engine)
    assert (seen.completed, seen.begun_ns) == (0, 0)
    sample = {"frame": make_frames(1, 0)[0][0]}
    assert engine.predict(sample).label == "red"
    with pytest.raises(InputError):
        engine.predict({})
    assert (seen.completed, seen.begun_ns) == (2, 0)
    for end in (seen, page):
        end.close()


def test_an_inference_under_way_shows_since_when(engine: Engine, package: Package) -> None:
    made = make_page()
    assert made is not None
    page, descriptor = made
    os.close(descriptor)
    begun: list[int] = []
    engine.predict = lambda _sample: begun.append(page.begun_ns)  # type: ignore[method-assign, assignment, func-returns-value, return-value]
    page.watch(engine)
    before = time.monotonic_ns()
    engine.predict({})
    assert before <= begun[0] <= time.monotonic_ns()
    page.close()


@pytest.mark.parametrize("text", ["", "-1", "nonsense", "987"])
def test_a_worker_without_a_page_works_without_one(text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EYELET_PROGRESS_DESCRIPTOR", text)
    assert open_inherited() is None
