"""A torch source as the module that is exported: softmax at its end, a cast at its beginning."""

from typing import Any

from converters.errors import StepError
from converters.sources import Source, TorchSource


def with_softmax(source: Source) -> Any:  # noqa: ANN401  (torch is imported only here)
    """A module from a frame (1, h, w, 3) of any number type to probabilities (1, C)."""
    import torch

    class Probabilities(torch.nn.Module):  # type: ignore[misc]
        def __init__(self, network: Any) -> None:  # noqa: ANN401
            super().__init__()
            self.network = network

        def forward(self, frame: Any) -> Any:  # noqa: ANN401
            return torch.softmax(self.network(frame.to(torch.float32)), dim=-1)

    return Probabilities(_torch_source(source).module).eval()


def example_frame(source: Source, dtype: Any) -> Any:  # noqa: ANN401
    """One grey frame (1, h, w, 3) of a torch type."""
    import torch

    height, width = _torch_source(source).input_size
    return torch.full((1, height, width, 3), 127, dtype=dtype)


def _torch_source(source: Source) -> TorchSource:
    if not isinstance(source, TorchSource):
        raise StepError(f"this step takes a torch network, got {source.format}")
    return source
