"""Packages and a key that the agent's tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.package import Package
from contract.signing import PrivateKey, generate_key
from edge_agent.engine.engine import Engine, open_engine
from tests.simulators.packages import make_package


@pytest.fixture(scope="session")
def key() -> PrivateKey:
    return generate_key()


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory, key: PrivateKey) -> Package:
    folder: Path = tmp_path_factory.mktemp("packages") / "good"
    return make_package(folder, key=key, variants=("onnx-float32", "litert-float32"))


@pytest.fixture
def engine(package: Package) -> Iterator[Engine]:
    with open_engine(package, "onnx-float32") as opened:
        yield opened
