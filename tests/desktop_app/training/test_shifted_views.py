"""Averaging over shifted views: what it computes, and that it can be switched on by an option."""

import torch
from torch import nn

from desktop_app.training.architectures.small_cnn import build
from desktop_app.training.shifted_views import MeanOfShiftedViews, shifts_of


def test_the_unshifted_view_comes_first_and_none_comes_twice() -> None:
    shifts = shifts_of(49)
    assert shifts[0] == (0, 0)
    assert len(set(shifts)) == 49


def test_the_answer_is_the_mean_over_the_views() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 4))
    views = MeanOfShiftedViews(network, 5).eval()
    x = torch.rand(2, 3, 8, 8)
    expected = torch.stack([network(torch.roll(x, shift, dims=(2, 3))) for shift in shifts_of(5)]).mean(dim=0)
    assert torch.allclose(views(x), expected, atol=1e-6)


def test_training_sees_the_picture_alone() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 4))
    views = MeanOfShiftedViews(network, 5).train()
    x = torch.rand(2, 3, 8, 8)
    assert torch.equal(views(x), network(x))


def test_the_option_of_the_small_network_switches_it_on() -> None:
    options = {"width": 4, "input_size": 8}
    assert isinstance(build({**options, "views": 9}, classes=3, size=(8, 8)), MeanOfShiftedViews)
    assert not isinstance(build({**options, "views": 1}, classes=3, size=(8, 8)), MeanOfShiftedViews)
