"""Load and unload over HTTP: the model repository extension, where the owner of the device allows it.

The worker only reads the request; whether and what is loaded is the supervisor's to decide, and it answers.
Extension: https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_model_repository.md
"""

import asyncio
import re
from collections.abc import Callable
from typing import Any

import msgspec

from contract.manifest import Sha256, VersionNumber
from edge_agent.serving.http_messages import HttpError, Response
from edge_agent.worker.messages import RepositoryAnswered, RepositoryAsked

ANSWER_WITHIN_S = 90.0
"""More than the start of a worker may take."""
_ASKED_AT_ONCE = 8
_MODEL_MAX_LENGTH = 63

find_call = re.compile(r"/v2/repository/models/([^/]+)/(load|unload)").fullmatch


class Parameters(msgspec.Struct, forbid_unknown_fields=True):
    """What may be said with the call: which version to load, by its number or its digest."""

    version: VersionNumber | str | None = None
    digest: Sha256 | None = None
    unload_dependents: bool = False


class Body(msgspec.Struct):
    """The body of a call."""

    parameters: dict[str, Any] = {}


class ModelRepository:
    """The worker's side: asks the supervisor and waits for what it says."""

    def __init__(self, send: Callable[[RepositoryAsked], None], on_unloaded: Callable[[], None]) -> None:
        """`on_unloaded` is called when the supervisor agreed to an unload."""
        self._send = send
        self._on_unloaded = on_unloaded
        self._waiting: dict[int, asyncio.Future[RepositoryAnswered]] = {}
        self._last_id = 0

    def hear(self, answered: RepositoryAnswered) -> None:
        """What the supervisor said; an answer that nobody waits for any more is dropped."""
        future = self._waiting.get(answered.id)
        if future is not None and not future.done():
            future.set_result(answered)

    async def carry_out(self, model: str, verb: str, body: bytes) -> Response:
        """Ask, and answer as the supervisor says.

        Raises:
            HttpError: the request is wrong, or it is not done.
        """
        if len(self._waiting) >= _ASKED_AT_ONCE:
            raise HttpError(503, "too many such requests wait already", headers=(("Retry-After", "1"),))
        self._last_id += 1
        asked = read_call(self._last_id, model, verb, body)
        future: asyncio.Future[RepositoryAnswered] = asyncio.get_running_loop().create_future()
        self._waiting[asked.id] = future
        try:
            self._send(asked)
            answered = await asyncio.wait_for(future, ANSWER_WITHIN_S)
        except asyncio.TimeoutError as error:
            raise HttpError(504, "the agent did not say in time whether it was done") from error
        finally:
            del self._waiting[asked.id]
        if answered.state != 200:  # noqa: PLR2004  (HTTP)
            raise HttpError(answered.state, answered.text)
        if not asked.load:
            self._on_unloaded()
        return Response(200, b"")


def read_call(number: int, model: str, verb: str, body: bytes) -> RepositoryAsked:
    """The call as a message.

    Raises:
        HttpError: 400 where the body is none, or asks for more than a version.
    """
    if len(model) > _MODEL_MAX_LENGTH:
        raise HttpError(404, f"no model {model[:60]!r}… is installed on this device")
    try:
        content = msgspec.json.decode(body, type=Body) if body.strip() else Body()
        parameters = msgspec.convert(content.parameters, Parameters, strict=False)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        words = "a model's files and configuration are parts of its signed version; only `version` or `digest` can be said"
        raise HttpError(400, f"the request is not valid: {error}; {words}") from error
    return RepositoryAsked(number, verb == "load", model, _version(parameters.version), parameters.digest or "")


def _version(asked: int | str | None) -> int:
    """A number, as the protocol also writes it in text; 0 for none."""
    if not isinstance(asked, str):
        return asked or 0
    if asked.isascii() and asked.isdigit() and len(asked) <= 12:  # noqa: PLR2004  (digits)
        return int(asked)
    raise HttpError(400, f"version is a number, got {asked[:30]!r}")
