from collections.abc import Iterator

import pytest

from contract.package import Package
from tests.edge_agent.serving.serving_thread import serving


@pytest.fixture(scope="module")
def port(package: Package) -> Iterator[int]:
    with serving(package) as opened:
        yield opened
