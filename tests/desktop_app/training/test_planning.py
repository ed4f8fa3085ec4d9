import msgspec
import pytest

from desktop_app.data.columns import Column
from desktop_app.data.versions import DatasetVersion, VersionSample
from desktop_app.training.errors import RecipeError
from desktop_app.training.planning import plan_recipe, usual_augmentation
from desktop_app.training.recipe import Augmentation

SHARES = (0.7, 0.15, 0.15)


def images(side: int) -> DatasetVersion:
    samples = tuple(VersionSample(f"{i:064}", "a", "train", width=side, height=side // 2) for i in range(3))
    return DatasetVersion(1, "d" * 64, "", "image-classification", 0, SHARES, ("a", "b"), samples)


TABLE = DatasetVersion(1, "d" * 64, "", "tabular-classification", 0, SHARES, ("a", "b"), (), (Column("x", "float"),), "y")


def test_without_wishes_the_usual_recipe() -> None:
    recipe = plan_recipe(images(8), {})
    assert (recipe.architecture, recipe.epochs, recipe.seed) == ("small-cnn", 8, 0)
    assert (recipe.options["input_size"], recipe.options["width"]) == (32, 16)
    assert recipe.dataset_version == "d" * 64
    assert plan_recipe(TABLE, {}).architecture == "gradient-boosting"


@pytest.mark.parametrize(("side", "size"), [(8, 32), (40, 32), (64, 64), (300, 96)])
def test_the_input_size_suits_the_pictures(side, size) -> None:
    assert plan_recipe(images(side), {}).options["input_size"] == size
    assert plan_recipe(images(side), {"options": {"input_size": "48"}}).options["input_size"] == 48


def test_planning_a_complete_recipe_changes_nothing() -> None:
    for version, wishes in ((images(32), {"architecture": "resnet8", "seed": 4}), (TABLE, {"architecture": "random-forest"})):
        recipe = plan_recipe(version, wishes)
        assert plan_recipe(version, msgspec.to_builtins(recipe)) == recipe


@pytest.mark.parametrize(
    ("wishes", "words"),
    [
        ({"epoch": 3}, "Did you mean epochs"),
        ({"architecture": "smal-cnn"}, "Did you mean small-cnn"),
        ({"architecture": "random-forest"}, "no architecture for image-classification"),
        ({"epochs": 0}, "epochs is 0, expected 1"),
        ({"epochs": "many"}, "not valid"),
        ({"options": {"depth": 3}}, "no option of small-cnn named 'depth'"),
        ({"task": "tabular-classification"}, "the recipe's task"),
        ({"dataset_version": "e" * 64}, "the recipe's dataset_version"),
        ({"augmentation": {"flipp": True}}, "flipp"),
    ],
)
def test_wrong_wishes_are_answered_in_words(wishes, words) -> None:
    with pytest.raises(RecipeError, match=words):
        plan_recipe(images(32), wishes)


def test_what_an_estimator_would_ignore_is_refused() -> None:
    with pytest.raises(RecipeError, match="epochs means nothing to gradient-boosting"):
        plan_recipe(TABLE, {"epochs": 5})


def test_the_usual_augmentation_of_an_architecture() -> None:
    assert usual_augmentation("image-classification", None) == Augmentation()
    assert usual_augmentation("image-classification", "resnet8").shift_share == 0.125
