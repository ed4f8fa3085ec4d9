"""What the long-lived processes that run no model must not load: it would stay in their memory and lengthen every start."""

import subprocess
import sys

import pytest

HEAVY = {"numpy", "onnxruntime", "ai_edge_litert", "PIL", "tuf"}


@pytest.mark.parametrize("module", ["edge_agent.supervisor", "edge_agent.serving.without_model"])
def test_a_process_without_a_model_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(sorted({HEAVY!r} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert answer.stdout.strip() == "[]", answer.stdout + answer.stderr
