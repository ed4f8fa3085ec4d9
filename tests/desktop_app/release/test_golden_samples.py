import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from contract.manifest import TensorSpec, Variant
from desktop_app.release.frames import bounded
from desktop_app.release.golden_samples import Candidates, choose_golden, pick, with_golden_tolerance, write_golden

FRAME = TensorSpec("frame", "uint8", (-1, -1, 3), layout="HWC")


def candidates(reference, other, labels=None) -> Candidates:
    samples = [{"frame": np.full((2, 2, 3), index, np.uint8)} for index in range(len(reference))]
    outputs = {name: [{"scores": np.array(row, np.float32)} for row in rows] for name, rows in (("a", reference), ("b", other))}
    return Candidates(samples, labels or [0] * len(reference), outputs)


def test_unsure_and_flipped_samples_are_taken_last():
    reference = [(0.52, 0.48), (0.9, 0.1), (0.8, 0.2), (0.1, 0.9)]
    other = [(0.9, 0.1), (0.9, 0.1), (0.2, 0.8), (0.2, 0.8)]
    assert choose_golden(candidates(reference, other), "a", 2) == [1, 3]
    assert choose_golden(candidates(reference, other), "a", 3) == [0, 1, 3]


@given(st.integers(min_value=1, max_value=20), st.integers(min_value=1, max_value=30))
def test_as_many_as_wanted_and_there_are(wanted, there):
    rows = [(0.9, 0.1) if index % 3 else (0.5, 0.5) for index in range(there)]
    assert len(choose_golden(candidates(rows, rows), "a", wanted)) == min(wanted, there)


def test_a_tolerance_follows_the_distance_from_the_reference():
    golden = candidates([(0.9, 0.1)], [(0.7, 0.3)])
    assert with_golden_tolerance(Variant("onnx", "int8", "static", "x"), "b", "a", golden).tolerance == 0.3
    assert with_golden_tolerance(Variant("onnx", "float32", "none", "x"), "b", "a", golden).tolerance == 1e-4


def test_picking_keeps_inputs_and_outputs_together(tmp_path):
    golden = pick(candidates([(0.9, 0.1), (0.2, 0.8)], [(0.8, 0.2), (0.3, 0.7)]), [1])
    write_golden(tmp_path / "golden.npz", golden)
    with np.load(tmp_path / "golden.npz", allow_pickle=False) as arrays:
        assert sorted(arrays.files) == ["0000.input.frame", "0000.output.a.scores", "0000.output.b.scores"]
        assert arrays["0000.input.frame"][0, 0, 0] == 1
        assert arrays["0000.output.b.scores"][1] == np.float32(0.7)


def test_the_same_golden_samples_give_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        write_golden(tmp_path / name, candidates([(0.9, 0.1)], [(0.9, 0.1)]))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_large_frames_are_shrunk_and_small_ones_left():
    large = {"frame": np.random.default_rng(0).integers(0, 256, (1200, 900, 3), dtype=np.uint8)}
    assert bounded(large, (FRAME,))["frame"].shape == (512, 384, 3)
    small = {"frame": np.zeros((512, 3, 3), np.uint8)}
    assert bounded(small, (FRAME,))["frame"] is small["frame"]


def test_text_becomes_plain_arrays_that_need_no_pickle():
    row = {"colour": np.array(["red"], dtype=object), "width": np.array([1.0], np.float32)}
    specs = (TensorSpec("colour", "string", (1,)), TensorSpec("width", "float32", (1,)))
    assert bounded(row, specs)["colour"].dtype.kind == "U"
