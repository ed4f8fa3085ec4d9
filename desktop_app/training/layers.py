"""Building blocks of the networks: quantization-friendly (ReLU, batch norm that folds into the convolution)."""

from collections.abc import Sequence

import torch
from torch import nn


def conv_block(channels_in: int, channels_out: int, *, stride: int = 1) -> nn.Sequential:
    """3x3 convolution, batch norm, ReLU: (N, in, h, w) to (N, out, h/stride, w/stride)."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )


def head(channels: int, classes: int) -> nn.Sequential:
    """Mean over the picture, then one linear layer: (N, channels, h, w) to logits (N, classes)."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


class Residual(nn.Module):  # type: ignore[misc]  # torch is not typed for mypy here
    """Two 3x3 convolutions beside a short cut, as in ResNet (He et al. 2015, arXiv 1512.03385)."""

    def __init__(self, channels_in: int, channels_out: int, *, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv_block(channels_in, channels_out, stride=stride),
            nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
        )
        same = channels_in == channels_out and stride == 1
        self.short_cut = nn.Identity() if same else nn.Conv2d(channels_in, channels_out, 1, stride=stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, in, h, w) to (N, out, h/stride, w/stride)."""
        return torch.relu(self.body(x) + self.short_cut(x))


class ImageNetwork(nn.Module):  # type: ignore[misc]
    """Normalisation and a body: float32 (N, h, w, 3) RGB in 0..255 to logits float32 (N, C).

    The mean and the deviation of the training split are part of the network, written as one
    multiplication and one addition, so that nobody can feed it differently normalised pixels.
    """

    def __init__(self, body: nn.Module, mean: Sequence[float], deviation: Sequence[float]) -> None:
        super().__init__()
        scale = 1.0 / torch.tensor(list(deviation), dtype=torch.float32)
        self.register_buffer("scale", scale)
        self.register_buffer("offset", -torch.tensor(list(mean), dtype=torch.float32) * scale)
        self.body = body

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Logits (N, C) of pixels (N, h, w, 3)."""
        x: torch.Tensor = self.body((pixels * self.scale + self.offset).permute(0, 3, 1, 2))
        return x
