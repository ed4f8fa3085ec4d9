"""Starting a model: one that dies, and one that is slower than its precision promises."""

import platform
from pathlib import Path

import pytest

from benchmarks.running_agent import prepare_home
from contract.signing import PrivateKey
from edge_agent.status import read_status
from edge_agent.worker.self_testing import VariantResult, judge
from tests.simulators.agents import AgentProcess
from tests.simulators.packages import make_package
from tests.simulators.waiting import wait_until


@pytest.mark.skipif(platform.machine() not in {"x86_64", "AMD64"}, reason="the crash is one of x86")
def test_an_agent_whose_model_kills_its_process_gets_ready_and_says_so(tmp_path: Path, key: PrivateKey) -> None:
    home = prepare_home(tmp_path / "home", make_package(tmp_path / "crash", key=key, kind="crash"), "onnx-float32")
    with AgentProcess(home.folder) as agent:  # waits until it is up
        wait_until(lambda: read_status(home.status) is not None, 20, agent.read_log)
        status = read_status(home.status)
        assert status is not None
        assert any("does not answer" in finding.text and "SIGFPE" in finding.text for finding in status.findings), status.findings
        assert agent.stop() == 0


def test_the_fastest_variant_on_this_device_is_chosen_whatever_its_precision() -> None:
    measured = [VariantResult("onnx-int8", latency_p50_ms=3.0), VariantResult("onnx-float32", latency_p50_ms=2.0)]
    assert judge(measured).chosen == "onnx-float32"
