"""A few plain convolutions: the first thing to try on small pictures, made to be quantized."""

import itertools
from collections.abc import Mapping
from typing import Any

from desktop_app.training.architecture import NETWORK, Architecture, Option
from desktop_app.training.recipe import OptionValue

SMALLEST_SIDE = 4


def stage_widths(width: int, size: tuple[int, int]) -> list[int]:
    """Channels of each stage: doubled while the picture is halved, until its shorter side is at most 4 pixels.

    At least two and at most five stages; never more than 8 times the first.
    """
    stages, side = 1, min(size)
    while side > SMALLEST_SIDE and stages < 5:  # noqa: PLR2004
        side //= 2
        stages += 1
    return [width * min(2**stage, 8) for stage in range(max(stages, 2))]


def build(options: Mapping[str, OptionValue], *, classes: int, size: tuple[int, int]) -> Any:  # noqa: ANN401
    """Convolution, then per stage a halving and a convolution, then the head."""
    from torch import nn

    from desktop_app.training.layers import conv_block, head
    from desktop_app.training.shifted_views import MeanOfShiftedViews

    widths = stage_widths(int(options["width"]), size)
    layers: list[Any] = [conv_block(3, widths[0])]
    for before, after in itertools.pairwise(widths):
        layers += [nn.MaxPool2d(2), conv_block(before, after)]
    network = nn.Sequential(*layers, head(widths[-1], classes))
    views = int(options.get("views", 1))
    return MeanOfShiftedViews(network, views) if views > 1 else network


ARCHITECTURE = Architecture(
    name="small-cnn",
    title="Small CNN",
    summary="Plain convolutions; trains in seconds, runs in a tenth of a millisecond at 32x32.",
    task="image-classification",
    kind=NETWORK,
    build=build,
    options=(
        Option("width", 16, "channels of the first convolution; the cost grows with its square", minimum=2, maximum=512),
        Option(
            "views", 1, "shifted views that are averaged after training; the cost of an inference grows with them", minimum=1, maximum=121
        ),
        Option("input_size", 0, "side in pixels of the square that the network sees; 0 chooses it from the data", minimum=0, maximum=512),
    ),
    usual={"epochs": 8, "batch_size": 32, "learning_rate": 5e-3},
)
