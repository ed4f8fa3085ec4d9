"""A model of rows, from its package to the engine, the command line, the endpoint and the worker."""

import asyncio
import http.client
import json
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from contract.application import Application, Sink, Source
from contract.package import Package
from contract.signing import PrivateKey
from edge_agent.commands.predict import predict
from edge_agent.engine.engine import open_engine
from edge_agent.engine.golden import check_golden, load_golden
from edge_agent.worker.messages import SourceEnded
from edge_agent.worker.self_testing import SelfTestRequest, run_self_test
from tests.edge_agent.serving.serving_thread import serving
from tests.edge_agent.worker.test_process import request_for, running, until
from tests.simulators.tables import ROWS, VARIANT, expected_scores, make_table_package

TENSORS = {
    "inputs": [
        {"name": "age", "shape": [1, 1], "datatype": "FP32", "data": [[1]]},
        {"name": "city", "shape": [1], "datatype": "BYTES", "data": ["Köln"]},
    ]
}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory, key: PrivateKey) -> Package:
    return make_table_package(tmp_path_factory.mktemp("tables") / "visitors", key=key)


@pytest.fixture
def rows_file(tmp_path: Path) -> Path:
    path = tmp_path / "rows.csv"
    path.write_text("age,city\n" + "".join(f"{age},{city}\n" for age, city in ROWS), encoding="utf-8")
    return path


def test_the_engine_takes_a_value_per_column(table: Package) -> None:
    with open_engine(table, VARIANT) as engine:
        for age, city in ROWS:
            prediction = engine.predict({"age": np.array([age], np.float32), "city": np.array([city])})
            assert prediction.scores.shape == (2,)
            np.testing.assert_allclose(prediction.scores, expected_scores(age, city), atol=1e-6)
        result = check_golden(engine, load_golden(table.path_of("golden.npz"), table.manifest), VARIANT, table.manifest.variants[VARIANT])
        assert result.passed


def test_a_csv_file_is_answered_row_by_row(table: Package, rows_file: Path, tmp_path: Path) -> None:
    arguments = [str(table.folder), str(rows_file), "--json", "--insecure-skip-signature", "--home", str(tmp_path / "home")]
    result = CliRunner().invoke(predict, arguments)
    assert result.exit_code == 0, result.stderr
    for line, (age, city) in zip(result.stdout.splitlines(), ROWS, strict=True):
        np.testing.assert_allclose(json.loads(line)["scores"], expected_scores(age, city), atol=1e-6)


@pytest.mark.parametrize(
    ("path", "body", "state", "words"),
    [
        ("/predict", {"age": 1.0, "city": "Köln"}, 200, '"label":"b"'),
        ("/predict", {"age": 1.0}, 400, "no column city"),
        ("/predict", {"age": "old", "city": "Köln"}, 400, "'old' is no number"),
        ("/predict", {"age": 1.0, "city": "Köln", "more": 1}, 400, "no column 'more'"),
        ("/predict", [1, 2], 400, "expected one row"),
        ("/v2/models/visitors/infer", TENSORS, 200, '"data":["b"]'),
    ],
)
def test_the_endpoint_takes_a_row(table: Package, path: str, body: object, state: int, words: str) -> None:
    with serving(table) as port, closing(http.client.HTTPConnection("127.0.0.1", port)) as client:
        client.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        with client.getresponse() as answer:
            assert answer.status == state
            assert words in answer.read().decode()


def test_a_worker_replays_rows_and_the_self_test_passes(table: Package, rows_file: Path, tmp_path: Path) -> None:
    source = Source("csv", {"path": str(rows_file), "per_second": 500, "repeat": False})
    application = Application(1, "gate", 1, "visitors", source, (Sink("jsonl", {"path": "out.jsonl"}),))

    async def story() -> None:
        messages: list = []
        async with running(request_for(table, application=application, data_folder=str(tmp_path)), messages):
            await until(lambda: any(isinstance(message, SourceEnded) for message in messages))
        result = await run_self_test(SelfTestRequest(str(table.folder), table.digest, (VARIANT,), timeout_s=20))
        assert result.chosen == VARIANT

    asyncio.run(story())
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [line["label"] for line in lines] == ["ab"[int(expected_scores(*row).argmax())] for row in ROWS]
