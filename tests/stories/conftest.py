"""What the stories share: the programs in a folder of the story's own."""

from collections.abc import Iterator

import pytest

from tests.stories.programs import Programs


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Programs]:
    with Programs(tmp_path_factory.mktemp(request.module.__name__.rpartition(".")[2])) as programs:
        yield programs
