import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.codec import decode, encode
from desktop_app.training.recipe import Augmentation, Recipe, changed, label_permutation, recipe_faults, recipe_notes

RECIPE = Recipe(task="image-classification", dataset_version="a" * 64, architecture="small-cnn", options={"width": 16, "input_size": 32})

OTHER_VALUES = {
    "task": "other",
    "dataset_version": "b" * 64,
    "architecture": "resnet8",
    "options": {"width": 17, "input_size": 32},
    "epochs": 9,
    "batch_size": 65,
    "learning_rate": 0.5,
    "weight_decay": 0.5,
    "label_smoothing": 0.5,
    "augmentation": Augmentation(flip=True),
    "seed": 1,
    "threads": 1,
    "label_permutation_seed": 0,
    "schema_version": 2,
}


def test_every_field_decides_the_digest() -> None:
    assert set(OTHER_VALUES) == set(Recipe.__struct_fields__)
    digests = {changed(RECIPE, **{name: value}).digest for name, value in OTHER_VALUES.items()}
    assert len(digests | {RECIPE.digest}) == len(OTHER_VALUES) + 1


def test_the_digest_does_not_depend_on_the_order_of_options() -> None:
    assert changed(RECIPE, options={"input_size": 32, "width": 16}).digest == RECIPE.digest


def test_a_recipe_survives_its_json() -> None:
    assert decode(encode(RECIPE), Recipe, "recipe") == RECIPE
    assert msgspec.convert(msgspec.to_builtins(RECIPE), Recipe).digest == RECIPE.digest


def test_faults_are_named_with_value_and_range() -> None:
    assert recipe_faults(RECIPE) == []
    assert recipe_faults(changed(RECIPE, epochs=0, seed=-1)) == [
        "epochs is 0, expected 1 to 10000",
        "seed is -1, expected 0 to 2.14748e+09",
    ]
    assert recipe_faults(changed(RECIPE, learning_rate=float("nan")))


@given(seed=st.integers(0, 2**31 - 1), classes=st.integers(2, 40))
def test_permuted_labels_leave_no_class_its_own(seed: int, classes: int) -> None:
    taught = label_permutation(seed, classes)
    assert sorted(taught) == list(range(classes))
    assert all(index != label for index, label in enumerate(taught))


def test_a_fault_injection_is_noted() -> None:
    assert recipe_notes(RECIPE) == ()
    assert "wrong on purpose" in recipe_notes(changed(RECIPE, label_permutation_seed=0))[0]


def test_unknown_fields_are_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**msgspec.to_builtins(RECIPE), "epoch": 3}, Recipe)
