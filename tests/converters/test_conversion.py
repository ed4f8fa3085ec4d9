import dataclasses

import msgspec
import numpy as np
import onnx
import pytest

from contract.codec import encode
from contract.files import check_file
from converters.conversion import convert
from converters.errors import ConversionError, SamplesError, StepError
from converters.gate import Gate
from converters.proof import torch_scores
from converters.report import ConversionReport, load_report
from converters.samples import EvaluationSet
from converters.steps import STEPS
from edge_agent.engine.engine import open_variant
from tests.converters.conftest import colour_spec, samples_of

MADE = ["onnx-float32", "onnx-float16", "onnx-int8", "litert-float32", "litert-float16", "litert-int8", "litert-int8-dynamic"]


def scores_of(conversion, name, samples) -> np.ndarray:
    report, folder = conversion
    variant = report.variants[name]
    with open_variant(folder / variant.file, variant, colour_spec()) as engine:
        return np.stack([engine.run(sample)["scores"] for sample in samples])


def test_every_target_is_made_or_refused_with_a_reason(conversion):
    report, folder = conversion
    assert list(report.variants) == MADE
    assert set(report.refused) == {"onnx-int8-dynamic"}
    assert "twelve times slower" in report.refused["onnx-int8-dynamic"]
    assert "Choose onnx-int8" in report.refused["onnx-int8-dynamic"]
    assert sorted(path.name for path in folder.iterdir()) == sorted([*(v.file for v in report.variants.values()), "conversion.json"])
    for name, entry in report.files.items():
        check_file(folder / report.variants[name].file, entry.sha256, entry.size_bytes)


@pytest.mark.parametrize("name", ["onnx-float32", "litert-float32"])
def test_float32_answers_as_torch_does(conversion, torch_source, evaluation, name):
    expected = torch_scores(torch_source, evaluation.samples[:40])
    # the host's resize may be one level off the graph's: that is the tolerance of its test vectors
    assert np.max(np.abs(expected - scores_of(conversion, name, evaluation.samples[:40]))) <= 1e-4


@pytest.mark.parametrize("name", ["onnx-int8", "litert-int8", "litert-int8-dynamic"])
def test_int8_keeps_its_answers_on_brighter_frames(conversion, name):
    bright = [{"frame": np.clip(s["frame"].astype(int) + 60, 0, 255).astype(np.uint8)} for s in samples_of(300, 6).samples]
    before, after = scores_of(conversion, "onnx-float32", bright), scores_of(conversion, name, bright)
    assert np.mean(before.argmax(axis=1) == after.argmax(axis=1)) >= 0.97


def test_what_is_reported_is_what_the_engine_answers(conversion, evaluation):
    report, _ = conversion
    labels = np.array(evaluation.labels)
    reference = scores_of(conversion, "onnx-float32", evaluation.samples)
    for name, variant in report.variants.items():
        found = scores_of(conversion, name, evaluation.samples)
        measured = variant.evaluation
        right = found.argmax(axis=1) == labels
        assert measured.score == pytest.approx(right.mean())
        assert measured.change == pytest.approx(right.mean() - (reference.argmax(axis=1) == labels).mean())
        assert measured.parity == pytest.approx(np.abs(found - reference).max(), abs=1e-6)
        assert report.flipped[name] == tuple(np.flatnonzero(found.argmax(axis=1) != reference.argmax(axis=1)))
        assert measured.agreement == pytest.approx(1 - len(report.flipped[name]) / 120)
        assert set(measured.class_change) == set(report.labels)
        assert 0 < measured.latency_p50_ms <= measured.latency_p95_ms
        assert measured.samples == 120


def test_the_reference_is_good_and_quantized_variants_are_smaller(conversion):
    report, _ = conversion
    sizes = {name: entry.size_bytes for name, entry in report.files.items()}
    assert report.reference == "onnx-float32"
    assert report.variants["onnx-float32"].evaluation.score > 0.9
    assert sizes["onnx-float16"] < sizes["onnx-float32"]
    assert sizes["litert-int8"] < sizes["litert-float32"]


def test_onnx_variants_hold_their_preprocessing_and_nothing_foreign(conversion):
    report, folder = conversion
    for name in ("onnx-float32", "onnx-float16", "onnx-int8"):
        graph = onnx.load(folder / report.variants[name].file)
        assert [(entry.domain, entry.version) for entry in graph.opset_import] == [("", 20)]
        assert [tensor.name for tensor in graph.graph.input] == ["frame"]
        assert [tensor.name for tensor in graph.graph.output] == ["scores"]
        assert all(node.name for node in graph.graph.node)
        kinds = [node.op_type for node in graph.graph.node]
        assert kinds.index("Resize") < kinds.index("Cast")
        assert report.variants[name].pipeline == ()
        assert report.variants[name].opset == 20
    assert "QuantizeLinear" in kinds


def test_litert_variants_ask_the_host_for_the_same_resize(conversion):
    report, _ = conversion
    for name in ("litert-float32", "litert-int8"):
        (step,) = report.variants[name].pipeline
        assert (step.operation, dict(step.options)) == ("resize", {"height": 16, "width": 16, "mode": "linear"})


def test_tolerances_are_measured(conversion):
    report, _ = conversion
    tolerances = {name: variant.tolerance for name, variant in report.variants.items()}
    assert tolerances["onnx-float32"] == tolerances["litert-float32"] == 1e-4
    for name in ("onnx-int8", "litert-int8"):
        assert tolerances[name] >= max(0.02, report.variants[name].evaluation.parity)


def test_the_report_survives_its_file(conversion):
    report, folder = conversion
    assert load_report(folder) == report
    assert msgspec.json.decode(encode(report), type=ConversionReport).gates == report.gates


def test_the_same_source_gives_the_same_onnx_bytes(conversion, torch_source, evaluation, tmp_path):
    report, _ = conversion
    again = convert(torch_source, targets=["onnx-float32"], calibration=[], evaluation=evaluation, folder=tmp_path)
    assert again.files["onnx-float32"] == report.files["onnx-float32"]


def test_a_gate_that_nothing_passes_gives_remedies_in_words(file_source, tmp_path):
    made_up = EvaluationSet(samples_of(12, 7).samples, [0] * 12)
    gate = Gate(max_loss=-1.0)  # demands a gain
    calibration = samples_of(8, 5).samples
    report = convert(file_source, targets=["onnx-int8"], calibration=calibration, evaluation=made_up, folder=tmp_path, gate=gate)
    assert not any(result.passed for result in report.gates.values())
    assert report.shippable == ()
    assert any("8 were used" in remedy for remedy in report.remedies)


def test_without_labels_only_agreement_is_known(file_source, tmp_path):
    report = convert(
        file_source, targets=["onnx-float32"], calibration=samples_of(8, 5).samples, evaluation=EvaluationSet(()), folder=tmp_path
    )
    assert (report.labelled, report.gates, report.evaluation_count) == (False, {}, 8)
    assert report.variants["onnx-float32"].evaluation.metric == "agreement"


def test_a_step_that_fails_refuses_its_target_and_no_other(file_source, evaluation, tmp_path, monkeypatch):
    def explode(*_):
        raise RuntimeError("the library\nfell over")

    monkeypatch.setitem(STEPS, "onnx_to_float16", dataclasses.replace(STEPS["onnx_to_float16"], run=explode))
    report = convert(file_source, targets=["onnx-float16", "onnx-float32"], calibration=[], evaluation=evaluation, folder=tmp_path)
    assert list(report.variants) == ["onnx-float32"]
    assert report.refused["onnx-float16"] == "onnx_to_float16 failed on this model: RuntimeError: the library"


def test_a_reference_that_breaks_its_promise_stops_the_conversion(file_source, evaluation, tmp_path, monkeypatch):
    def broken(*_):
        raise StepError("differs from its source by 0.3")

    monkeypatch.setitem(STEPS, "import_onnx", dataclasses.replace(STEPS["import_onnx"], ensure=broken))
    with pytest.raises(ConversionError, match=r"reference onnx-float32 can not be made: differs from its source by 0\.3"):
        convert(file_source, targets=["onnx-int8"], calibration=samples_of(4, 5).samples, evaluation=evaluation, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_conversion_left_is_removed(file_source, evaluation, tmp_path):
    (tmp_path / ".convert.abandoned").mkdir()
    convert(file_source, targets=["onnx-float32"], calibration=[], evaluation=evaluation, folder=tmp_path)
    assert not list(tmp_path.glob(".convert.*"))


def test_progress_may_cancel(file_source, evaluation, tmp_path):
    seen = []

    def report(done, total, text):
        seen.append((done, total))
        if "join" in text:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(file_source, targets=["onnx-float32"], calibration=[], evaluation=evaluation, folder=tmp_path, report=report)
    assert seen == [(0, 3), (1, 3)]
    assert list(tmp_path.iterdir()) == []


def test_no_samples_at_all_are_refused(file_source, tmp_path):
    with pytest.raises(SamplesError, match="needs samples"):
        convert(file_source, targets=["onnx-float32"], calibration=[], evaluation=EvaluationSet(()), folder=tmp_path)


def test_labels_must_belong_to_the_samples():
    with pytest.raises(SamplesError, match="3 evaluation samples came with 1 labels"):
        EvaluationSet(samples_of(3, 1).samples, [0])
