from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from contract.manifest import TensorSpec
from converters.calibration import choose_stratified, true_ranges, with_extremes
from converters.litert_graph import read_model, read_signature
from converters.quiet import quiet
from converters.steps.quantize_litert import static_recipe

FRAME = TensorSpec("frame", "uint8", (-1, -1, 3), layout="HWC")


@given(st.lists(st.sampled_from("abc"), max_size=60), st.integers(min_value=0, max_value=80), st.integers(min_value=0, max_value=3))
def test_the_choice_is_stratified_distinct_and_repeatable(labels, count, seed):
    chosen = choose_stratified(labels, count, seed)
    assert chosen == choose_stratified(labels, count, seed)
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(count, len(labels))
    taken = Counter(labels[index] for index in chosen)
    for label, number in taken.items():  # no class gets two more than another that still had samples
        assert all(number <= taken[other] + 1 for other in set(labels) if taken[other] < Counter(labels)[other]), label


def test_other_seeds_choose_other_samples():
    labels = ["a", "b"] * 100
    assert choose_stratified(labels, 20, 0) != choose_stratified(labels, 20, 1)


def test_images_get_a_black_and_a_white_sample():
    frame = np.full((9, 7, 3), 100, np.uint8)
    extended = with_extremes([{"frame": frame}], (FRAME,))
    assert [int(sample["frame"].max()) for sample in extended] == [100, 0, 255]
    assert extended[1]["frame"].dtype == np.uint8


def test_other_inputs_get_none():
    row = {"width": np.array([1.0], np.float32)}
    assert with_extremes([row], (TensorSpec("width", "float32", (1,)),)) == [row]


def test_ranges_are_true_minimum_and_maximum_in_whatever_order(conversion):
    _, folder = conversion
    data = read_model(folder / "litert-float32.tflite")
    levels = [250, 3, 120, 100, 90, 110]
    with quiet():
        signature = read_signature(folder / "litert-float32.tflite")
        samples = [{signature.inputs[0]: np.full((1, 16, 16, 3), level, np.uint8)} for level in levels]
        recipe = static_recipe(data)
        ranges = [true_ranges(data, signature.key, order, recipe) for order in (samples, samples[::-1])]
    for name, found in ranges[0].items():
        if "min" in found:
            assert np.array_equal(found["min"], ranges[1][name]["min"])
            assert np.array_equal(found["max"], ranges[1][name]["max"])
    widest = max(float(np.max(found["max"])) for found in ranges[0].values() if "max" in found)
    assert widest >= (250 - 127.5) / 127.5 - 1e-6  # a moving average would have forgotten the first sample
