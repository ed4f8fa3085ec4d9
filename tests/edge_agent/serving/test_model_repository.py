import asyncio
import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.serving.http_messages import HttpError
from edge_agent.serving.model_repository import ModelRepository, find_call, read_call
from edge_agent.worker.messages import RepositoryAnswered, RepositoryAsked

DIGEST = "ab" * 32


@pytest.mark.parametrize(
    ("body", "version", "digest"),
    [
        (b"", 0, ""),
        (b"{}", 0, ""),
        (b'{"parameters": {}}', 0, ""),
        (b'{"parameters": {"version": 3}}', 3, ""),
        (b'{"parameters": {"version": "3"}}', 3, ""),
        (b'{"parameters": {"digest": "%b"}}' % DIGEST.encode(), 0, DIGEST),
        (b'{"parameters": {"unload_dependents": false}}', 0, ""),
    ],
)
def test_a_call_names_a_version_or_none(body: bytes, version: int, digest: str) -> None:
    assert read_call(7, "digits", "load", body) == RepositoryAsked(7, load=True, model="digits", version=version, digest=digest)


@pytest.mark.parametrize(
    "parameters",
    [
        {"config": "{}"},
        {"file:1/model.onnx": "AAAA"},
        {"version": 0},
        {"version": -1},
        {"version": "three"},
        {"version": "²"},
        {"digest": "ab"},
        {"digest": DIGEST.upper()},
        {"version": [3]},
        3,
    ],
)
def test_more_than_a_version_is_refused(parameters: object) -> None:
    with pytest.raises(HttpError) as caught:
        read_call(1, "digits", "load", json.dumps({"parameters": parameters}).encode())
    assert caught.value.state == 400


@given(st.binary(max_size=200))
def test_any_bytes_are_a_call_or_are_refused(body: bytes) -> None:
    with suppress(HttpError):
        read_call(1, "digits", "unload", body)


@pytest.mark.parametrize(
    ("path", "call"),
    [
        ("/v2/repository/models/digits/load", ("digits", "load")),
        ("/v2/repository/models/digits/unload", ("digits", "unload")),
        ("/v2/repository/models/a/b/load", None),
        ("/v2/repository/models//load", None),
        ("/v2/repository/models/digits/reload", None),
    ],
)
def test_the_paths_of_calls(path: str, call: tuple[str, str] | None) -> None:
    found = find_call(path)
    assert (found.groups() if found else None) == call


def test_answers_go_to_who_asked_and_the_number_of_waiting_ones_has_a_bound() -> None:
    sent: list[RepositoryAsked] = []
    unloaded: list[bool] = []

    async def story() -> None:
        repository = ModelRepository(sent.append, lambda: unloaded.append(True))
        waiting = [asyncio.create_task(repository.carry_out("digits", "unload", b"")) for _ in range(8)]
        await asyncio.sleep(0)
        with pytest.raises(HttpError, match="too many"):
            await repository.carry_out("digits", "load", b"")
        repository.hear(RepositoryAnswered(99, 200))
        for asked in reversed(sent):
            repository.hear(RepositoryAnswered(asked.id, 200 if asked.id == 1 else 409, "busy"))
        found = await asyncio.gather(*waiting, return_exceptions=True)
        assert [getattr(one, "state", None) for one in found] == [200, *[409] * 7]
        assert unloaded == [True]

    asyncio.run(story())
