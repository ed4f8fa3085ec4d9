"""One tiny network, trained on the simulators' colours, and one conversion of it, shared by all tests here."""

import numpy as np
import pytest

from contract.manifest import TensorSpec
from converters.conversion import convert
from converters.preprocessing import resized
from converters.samples import EvaluationSet
from converters.sources import FileSource, TorchSource
from converters.targets import TARGETS
from edge_agent.engine.model_spec import ModelSpec
from tests.simulators.packages import labels_of, make_frames, make_model

SIDE = 16
CLASSES = 6


def colour_spec(classes: int = CLASSES) -> ModelSpec:
    frame = TensorSpec("frame", "uint8", (-1, -1, 3), layout="HWC", value_range=(0, 255))
    return ModelSpec("image-classification", labels_of(classes), (frame,), (TensorSpec("scores", "float32", (classes,), layout="C"),), {})


def samples_of(count: int, seed: int) -> EvaluationSet:
    frames, labels = make_frames(count, seed, CLASSES)
    return EvaluationSet([{"frame": frame} for frame in frames], labels)


def train_tiny_network():
    """A CNN of two convolutions that tells colours apart, in about a second."""
    import torch
    from torch import nn

    torch.manual_seed(0)

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mean", torch.full((3,), 127.5))
            layers = [nn.Conv2d(3, 12, 3, 2, 1), nn.BatchNorm2d(12), nn.ReLU(), nn.Conv2d(12, 16, 3, 2, 1), nn.ReLU()]
            self.layers = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, CLASSES))

        def forward(self, frames):
            return self.layers(((frames - self.mean) / 127.5).permute(0, 3, 1, 2))

    frames, labels = make_frames(180, 3, CLASSES)
    pixels = torch.from_numpy(np.concatenate(list(resized(frames, (SIDE, SIDE)))).astype(np.float32))
    targets = torch.tensor(labels)
    network = Network()
    optimiser = torch.optim.Adam(network.parameters(), 0.01)
    for _ in range(60):
        optimiser.zero_grad()
        nn.functional.cross_entropy(network(pixels), targets).backward()
        optimiser.step()
    return network.eval()


@pytest.fixture(scope="session")
def torch_source():
    return TorchSource(train_tiny_network(), colour_spec(), (SIDE, SIDE))


@pytest.fixture(scope="session")
def file_source(tmp_path_factory):
    """The simulators' nearest colour as a model file: no export, so a conversion of it takes no time."""
    path = tmp_path_factory.mktemp("model") / "colours.onnx"
    path.write_bytes(make_model(CLASSES))
    return FileSource(path, colour_spec())


@pytest.fixture(scope="session")
def evaluation():
    return samples_of(120, 4)


@pytest.fixture(scope="session")
def conversion(torch_source, evaluation, tmp_path_factory):
    """(report, folder) of a conversion to every target."""
    folder = tmp_path_factory.mktemp("conversion")
    calibration = samples_of(48, 5).samples
    return convert(torch_source, targets=list(TARGETS), calibration=calibration, evaluation=evaluation, folder=folder), folder
