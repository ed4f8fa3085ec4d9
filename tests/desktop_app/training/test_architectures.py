from pathlib import Path

import numpy as np
import pytest
import torch

import desktop_app.training.architectures as table
from desktop_app.tasks import TASKS
from desktop_app.training.architecture import NETWORK, Option
from desktop_app.training.architectures import ARCHITECTURES
from desktop_app.training.architectures.small_cnn import stage_widths
from desktop_app.training.errors import RecipeError

NETWORKS = [entry for entry in ARCHITECTURES.values() if entry.kind == NETWORK]
ESTIMATORS = [entry for entry in ARCHITECTURES.values() if entry.kind != NETWORK]


def multiplications(network: torch.nn.Module, side: int) -> int:
    """Multiplications of all convolutions for one picture."""
    counts: list[int] = []

    def count(layer: torch.nn.Module, _: object, output: torch.Tensor) -> None:
        counts.append(layer.weight.numel() * output.shape[2] * output.shape[3])

    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.register_forward_hook(count)
    network.eval()(torch.zeros(1, 3, side, side))
    return sum(counts)


def test_table_and_folder_name_the_same_architectures() -> None:
    folder = Path(table.__file__).parent
    files = {path.stem.replace("_", "-") for path in folder.glob("*.py") if path.stem != "__init__"}
    assert set(ARCHITECTURES) == files
    assert all(name == entry.name for name, entry in ARCHITECTURES.items())
    assert {entry.task for entry in ARCHITECTURES.values()} == set(TASKS)


@pytest.mark.parametrize("entry", NETWORKS, ids=lambda entry: entry.name)
@pytest.mark.parametrize("size", [(8, 8), (32, 32), (33, 47)])
def test_a_network_gives_one_logit_per_class(entry, size) -> None:
    network = entry.build(entry.complete_options({}), classes=5, size=size).eval()
    assert network(torch.zeros(2, 3, *size)).shape == (2, 5)


@pytest.mark.parametrize("entry", ESTIMATORS, ids=lambda entry: entry.name)
def test_an_estimator_learns_two_classes(entry) -> None:
    features = np.linspace(-1, 1, 40).reshape(-1, 1)
    labels = (features[:, 0] > 0).astype(int)
    estimator = entry.build(entry.complete_options({}), seed=0, threads=1).fit(features, labels)
    assert estimator.predict([[-0.9], [0.9]]).tolist() == [0, 1]


def test_a_wide_small_cnn_is_far_dearer() -> None:
    entry = ARCHITECTURES["small-cnn"]
    narrow, wide = (multiplications(entry.build({"width": width, "input_size": 32}, classes=10, size=(32, 32)), 32) for width in (16, 160))
    assert wide > 50 * narrow


def test_resnet8_has_the_weights_of_the_reference() -> None:
    network = ARCHITECTURES["resnet8"].build({"width": 16, "input_size": 32}, classes=10, size=(32, 32))
    assert 77_000 < sum(weights.numel() for weights in network.parameters()) < 79_000


def test_stages_grow_with_the_picture_and_stop() -> None:
    assert stage_widths(4, (8, 8)) == [4, 8]
    assert stage_widths(16, (32, 32)) == [16, 32, 64, 128]
    assert stage_widths(16, (512, 512)) == [16, 32, 64, 128, 128]


def test_options_are_completed_and_checked() -> None:
    entry = ARCHITECTURES["small-cnn"]
    assert entry.complete_options({"width": "24"}) == {"input_size": 0, "views": 1, "width": 24}
    with pytest.raises(RecipeError, match="Did you mean width"):
        entry.complete_options({"widht": 3})
    with pytest.raises(RecipeError, match="width is 1, expected 2 to 512"):
        entry.complete_options({"width": 1})
    with pytest.raises(RecipeError, match="whole number"):
        entry.complete_options({"width": 2.5})
    with pytest.raises(RecipeError, match="expected a number"):
        entry.complete_options({"width": "wide"})


def test_options_of_other_types() -> None:
    assert Option("x", default=True, help="").parse("no") is False
    assert Option("x", 0.5, "").parse("0.25") == 0.25
    choice = Option("x", "a", "", choices=("a", "b"))
    assert choice.parse("b") == "b"
    with pytest.raises(RecipeError, match="one of a, b"):
        choice.parse("c")
    with pytest.raises(RecipeError, match="true or false"):
        Option("x", default=True, help="").parse("perhaps")
    with pytest.raises(RecipeError, match="expected a number"):
        Option("x", 1.0, "").parse("nan")
