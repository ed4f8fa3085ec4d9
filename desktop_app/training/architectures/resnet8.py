"""ResNet-8 as in MLPerf Tiny's image classification: three residual stages, 78,000 weights at 10 classes."""

from collections.abc import Mapping
from typing import Any

from desktop_app.training.architecture import NETWORK, Architecture, Option
from desktop_app.training.recipe import Augmentation, OptionValue


def build(options: Mapping[str, OptionValue], *, classes: int, size: tuple[int, int]) -> Any:  # noqa: ANN401, ARG001
    """Convolution, three residual stages of width 1, 2 and 4 (the last two halve the picture), head."""
    from torch import nn

    from desktop_app.training.layers import Residual, conv_block, head

    width = int(options["width"])
    return nn.Sequential(
        conv_block(3, width),
        Residual(width, width, stride=1),
        Residual(width, 2 * width, stride=2),
        Residual(2 * width, 4 * width, stride=2),
        head(4 * width, classes),
    )


ARCHITECTURE = Architecture(
    name="resnet8",
    title="ResNet-8",
    summary="The reference network of MLPerf Tiny for 32x32 pictures; better on photographs, five times dearer.",
    task="image-classification",
    kind=NETWORK,
    build=build,
    options=(
        Option("width", 16, "channels of the first stage", minimum=2, maximum=256),
        Option("input_size", 0, "side in pixels of the square that the network sees; 0 chooses it from the data", minimum=0, maximum=512),
    ),
    usual={"epochs": 15, "batch_size": 64, "learning_rate": 1e-2, "augmentation": Augmentation(shift_share=0.125)},
)
