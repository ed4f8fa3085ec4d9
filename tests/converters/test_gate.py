import pytest

from contract.manifest import Variant, VariantEvaluation
from converters.gate import Gate, GateResult, judge, remedies, worst_class


def evaluation(change, samples=1000, **fields):
    return VariantEvaluation(metric="accuracy", score=0.9 + change, samples=samples, change=change, **fields)


def variant(precision, quantization="none"):
    return Variant("onnx", precision, quantization, "x.onnx")


@pytest.mark.parametrize(("change", "passed"), [(0.0, True), (0.02, True), (-0.01, True), (-0.0101, False), (-0.5, False)])
def test_exactly_the_limit_passes(change, passed):
    assert judge(evaluation(change), Gate(max_loss=0.01)).passed is passed


def test_the_reason_has_loss_samples_and_limit():
    assert judge(evaluation(-0.02), Gate()).reason == "lost 2.00 points on 1000 samples, at most 1.00 allowed"
    assert judge(evaluation(0.02), Gate()).reason.startswith("gained 2.00 points")
    assert judge(evaluation(0.0), Gate()).reason.startswith("nothing lost")


def test_too_few_samples_are_said():
    assert judge(evaluation(0.0, samples=99), Gate()).reason.endswith("too few samples to see a loss that small")
    assert "too few" not in judge(evaluation(0.0, samples=100), Gate()).reason


def test_a_class_may_fail_where_the_whole_passes():
    changes = {"cat": -0.08, "dog": 0.08}
    assert judge(evaluation(0.0, class_change=changes), Gate()).passed
    result = judge(evaluation(0.0, class_change=changes), Gate(max_class_loss=0.05))
    assert not result.passed
    assert result.reason == "class cat lost 8.00 points of recall, at most 5.00 allowed per class"
    assert judge(evaluation(0.0, class_change=changes), Gate(max_class_loss=0.08)).passed


def test_the_worst_class_is_the_one_that_lost_most():
    assert worst_class({"a": 0.1, "b": -0.2, "c": -0.1}) == ("b", -0.2)
    assert worst_class({}) is None


def test_remedies_begin_with_what_is_there_already():
    variants = {"onnx-float32": variant("float32"), "onnx-float16": variant("float16"), "onnx-int8": variant("int8", "static")}
    gates = {name: GateResult(name != "onnx-int8", "") for name in variants}
    advice = remedies(variants, gates, calibration_count=20)
    assert advice[0] == "Ship onnx-float16 instead of onnx-int8: they pass."
    assert "20 were used" in advice[1]
    assert advice[-1].startswith("Raise the limit, knowingly")
    assert not any("Add a float16 variant" in line for line in advice)


def test_nothing_failed_needs_no_remedy():
    assert remedies({"onnx-float32": variant("float32")}, {"onnx-float32": GateResult(True, "")}, 0) == ()
