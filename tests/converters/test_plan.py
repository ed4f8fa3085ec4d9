import pytest

from converters.errors import ConversionError
from converters.plan import Platform, find_way, make_plan, why_not
from converters.steps import STEPS
from converters.targets import TARGETS, check_targets

EVERYTHING = frozenset(package for step in STEPS.values() for package in step.packages)
LINUX = Platform("Linux", "x86_64", EVERYTHING)
WINDOWS = Platform("Windows", "AMD64", EVERYTHING)


def names(plan) -> list[str]:
    return [planned.step for planned in plan.steps]


def test_a_torch_network_becomes_int8_by_quantizing_before_joining():
    plan = make_plan("torch", ["onnx-int8"], STEPS, LINUX, calibrated=True)
    assert names(plan) == ["torch_to_onnx", "join_preprocessing", "quantize_onnx_static", "join_preprocessing"]
    assert plan.targets == ("onnx-float32", "onnx-int8")
    assert plan.reference == "onnx-float32"


def test_steps_shared_by_targets_run_once_and_in_an_order_that_works():
    plan = make_plan("torch", list(TARGETS), STEPS, LINUX, calibrated=True)
    assert names(plan).count("torch_to_onnx") == names(plan).count("torch_to_litert") == 1
    known = {"torch"}
    for planned in plan.steps:
        assert planned.requires in known
        known.add(planned.ensures)
    assert set(TARGETS) <= known
    assert not plan.refused


def test_litert_alone_is_compared_with_litert():
    assert make_plan("torch", ["litert-int8"], STEPS, LINUX, calibrated=True).reference == "litert-float32"


def test_another_platform_refuses_with_the_platforms_that_can():
    plan = make_plan("torch", ["onnx-float32", "litert-int8"], STEPS, WINDOWS, calibrated=True)
    assert plan.targets == ("onnx-float32",)
    assert "exists for Linux x86_64 and Darwin arm64 only, this machine is Windows AMD64" in plan.refused["litert-int8"]


def test_a_missing_package_is_named():
    bare = Platform("Linux", "x86_64", EVERYTHING - {"litert_torch"})
    reason = why_not("torch", "litert-float32", STEPS, bare, calibrated=True)
    assert "litert_torch" in reason
    assert "eyelet-edge[convert]" in reason


def test_static_quantization_needs_calibration_samples():
    assert "needs calibration samples" in why_not("torch", "onnx-int8", STEPS, LINUX, calibrated=False)
    assert why_not("torch", "litert-int8-dynamic", STEPS, LINUX, calibrated=False) == ""


@pytest.mark.parametrize(
    ("source", "target", "words"),
    [
        ("sklearn", "onnx-int8", "shipped as onnx-float32"),
        ("sklearn", "litert-float32", "no operators for trees"),
        ("onnx", "litert-int8", "can not become TFLite"),
        ("tflite", "onnx-float32", "can not become ONNX"),
    ],
)
def test_what_has_no_way_says_why(source, target, words):
    assert find_way(source, target, STEPS) is None
    assert words in why_not(source, target, STEPS, LINUX, calibrated=True)


def test_nothing_possible_is_an_error_with_every_reason():
    with pytest.raises(ConversionError, match=r"litert-int8: .* litert-float32: "):
        make_plan("sklearn", ["litert-int8", "litert-float32"], STEPS, LINUX, calibrated=True)


def test_an_unknown_target_is_refused_with_the_known_ones():
    with pytest.raises(ConversionError, match="'onnx-int9'") as caught:
        check_targets(["onnx-int9"])
    assert "onnx-int8-dynamic" in caught.value.advice


def test_this_machine_is_looked_up_without_importing():
    here = Platform.here(STEPS.values())
    assert here.system
    assert "onnxruntime" in here.packages
