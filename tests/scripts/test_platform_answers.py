"""The program that answers on another platform, run on this one, and what is said of it."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from contract.files import write_atomic
from contract.signing import generate_key, public_key_to_bytes
from scripts.golden_answers import answer_host_steps, answer_packages
from scripts.golden_packages import KEY_FILE
from scripts.platform_answers import ROOT, Answers, ask, describe, how_it_ended
from tests.simulators.packages import make_package
from tests.simulators.tables import make_table_package

VECTORS = ROOT / "tests" / "golden" / "host_steps.json"


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    key = generate_key()
    make_package(tmp_path / "colours", key=key, name="colours", variants=("onnx-float32", "litert-float32"))
    make_package(tmp_path / "lies", key=key, name="lies", kind="wrong-golden")
    make_table_package(tmp_path / "table", key=key, name="table")
    (tmp_path / KEY_FILE).write_bytes(public_key_to_bytes(key.public, "owner"))
    return tmp_path


def test_each_variant_of_the_runtime_is_compared(packages: Path) -> None:
    rows = {row["package"]: row for row in answer_packages(packages, "onnx")}
    assert {name: row["passed"] for name, row in rows.items()} == {"colours": True, "lies": False, "table": True}
    assert rows["lies"]["max_difference"] > rows["lies"]["tolerance"]
    (row,) = answer_packages(packages, "litert")
    assert (row["variant"], row["steps"], row["passed"]) == ("litert-float32", ["resize"], True)


def test_the_published_vectors_are_met_here() -> None:
    rows = answer_host_steps(VECTORS)
    assert len(rows) > 8
    assert all(row["passed"] for row in rows)


def test_a_vector_that_differs_is_said(tmp_path: Path) -> None:
    vector = '{"name":"grey","operation":"colour","options":{"order":"GREY"},"input":[[[9,9,9]]],"output":[[[8]]],"tolerance":0}'
    write_atomic(tmp_path / "vectors.json", f'{{"vectors":[{vector}]}}'.encode())
    answers = Answers({}, answer_host_steps(tmp_path / "vectors.json"))
    assert describe(answers) == [
        "0 of 1 test vectors of the host steps are met",
        "host step grey: largest difference 1, allowed 0: FAILED",
    ]
    assert not answers.passed


def test_the_supervisors_side_answers_in_a_process_without_numpy() -> None:
    answers = ask([sys.executable, "-m", "scripts.golden_answers", "--supervisor"], {"OMP_NUM_THREADS": "1"})
    assert answers.passed, answers
    assert [row["part"] for row in answers.rows] == [
        "import of the supervisor without numpy",
        "signed document",
        "outbox in SQLite",
        "file from a patch",
        "update states",
    ]
    assert answers.platform["machine"] == os.uname().machine


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("import os; os.kill(os.getpid(), 11)", "ended by SIGSEGV: it wrote nothing"),
        ("import sys; sys.exit(139)", "ended by SIGSEGV"),
        ("raise KeyError('wheel')", "ended with code 1: KeyError: 'wheel'"),
        ("print('no document')", "printed no document but 'no document"),
        ("print('')", "printed no document"),
        ("import time; time.sleep(60)", "gave no answer within 1 s"),
    ],
)
def test_a_run_without_answers_says_how_it_ended(program: str, words: str) -> None:
    answers = ask([sys.executable, "-c", program], {}, limit_s=1.0)
    assert answers.failure.startswith(words)
    assert not answers.passed
    assert describe(answers) == [answers.failure]


def test_signals_are_named_and_codes_are_not() -> None:
    assert [how_it_ended(code) for code in (-4, 132, 1, 250)] == [
        "ended by SIGILL",
        "ended by SIGILL",
        "ended with code 1",
        "ended with code 250",
    ]


def test_rows_become_lines() -> None:
    row = {"package": "colours", "variant": "litert-float32", "steps": ["resize"], "samples": 4, "max_difference": float(np.float32(1e-6))}
    answers = Answers({}, [{**row, "tolerance": 1e-4, "passed": True}, {"part": "outbox in SQLite", "passed": False}])
    assert describe(answers) == [
        "colours litert-float32: 4 golden samples after resize, largest difference 1e-06, allowed 0.0001: ok",
        "outbox in SQLite: FAILED",
    ]
    assert describe(Answers({"absent": "not installed"}, [])) == ["not installed"]
