"""Test-time augmentation: the mean answer over shifted views of one picture, dearer but steadier."""

import torch
from torch import nn


def shifts_of(views: int) -> list[tuple[int, int]]:
    """The `views` shifts in pixels (down, right) nearest to none, that first."""
    reach = range(-6, 7)
    near = sorted(((down, right) for down in reach for right in reach), key=lambda s: (s[0] ** 2 + s[1] ** 2, s))
    return near[:views]


class MeanOfShiftedViews(nn.Module):  # type: ignore[misc]  # torch is not typed for mypy here
    """Trains the network plainly; in eval mode averages its logits over `views` shifted pictures.

    See Simonyan and Zisserman 2014 (arXiv 1409.1556, section 3.2) for dense evaluation by views.
    The views of a picture go through the network as one batch.
    """

    def __init__(self, network: nn.Module, views: int) -> None:
        super().__init__()
        self.network = network
        self.shifts = shifts_of(views)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, h, w) to logits (N, classes)."""
        if self.training:
            plain: torch.Tensor = self.network(x)
            return plain
        shifted = torch.stack([torch.roll(x, shift, dims=(2, 3)) for shift in self.shifts], dim=1)
        logits = self.network(shifted.flatten(0, 1))
        return logits.reshape(-1, len(self.shifts), logits.shape[-1]).mean(dim=1)
