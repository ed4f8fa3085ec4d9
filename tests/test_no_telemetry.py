"""Nothing is told to anybody whom the user did not name: what the runtimes would report to their makers is switched off everywhere."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_architecture import PROGRAMS, ROOT

STORY = """
import importlib, json, os, sys
importlib.import_module(sys.argv[1])
variable = os.environ.get("ORT_DISABLE_TELEMETRY")
import numpy, onnx, onnxruntime
from onnx import TensorProto, helper
ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", ends[:1], ends[1:])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
session.run(None, {"x": numpy.zeros(1, numpy.float32)})
print(json.dumps(variable))
"""


@pytest.mark.parametrize("program", PROGRAMS)
def test_onnx_runtime_keeps_what_runs_here_to_itself(program: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    environment = {"PATH": os.environ["PATH"], "HOME": str(home)}  # not that of a CI machine, where it is silent anyway
    command = [sys.executable, "-c", STORY, program]
    answer = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout) == "1"
    assert list(home.rglob("*")) == [], "an identifier of this machine, and what waits to be sent"
