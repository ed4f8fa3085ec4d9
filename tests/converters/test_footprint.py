from contract.signing import generate_key
from converters.footprint import LEAST_REPEATS, measure_latency
from edge_agent.engine.engine import open_engine
from tests.simulators.packages import make_frames, make_package


def test_a_dearer_graph_is_measured_as_dearer(tmp_path):
    frames, _ = make_frames(4, 1)
    samples = [{"frame": frame} for frame in frames]
    found = {}
    for kind in ("good", "slow"):
        package = make_package(tmp_path / kind, key=generate_key(), kind=kind)
        with open_engine(package, "onnx-float32") as engine:
            found[kind] = measure_latency(engine, samples)
    assert found["good"].p50_ms < found["slow"].p50_ms
    assert all(latency.p50_ms <= latency.p95_ms and latency.repeats >= LEAST_REPEATS for latency in found.values())
