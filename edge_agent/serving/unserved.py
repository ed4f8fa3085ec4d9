"""Calls of the protocol's extensions that this endpoint does not have, each with a reason in place of a bare 404."""

import re

from edge_agent.serving.http_messages import HttpError

_UNSERVED = (
    (
        re.compile(r"/v2/(system|cuda)sharedmemory(/.*)?").fullmatch,
        404,
        "shared memory is not served here; send tensors as binary data, over the Unix socket where it must be fast",
    ),
    (
        re.compile(r"/v2/(models/[^/]+/)?trace/setting").fullmatch,
        404,
        "there are no traces here; /metrics and …/stats say how long requests take",
    ),
    (re.compile(r"/v2/logging").fullmatch, 404, "log settings are not served here; `eyelet-agent run --verbose` logs more"),
    (
        re.compile(r"/v2/repository/models/[^/]+/(load|unload)").fullmatch,
        403,
        "models are not loaded over HTTP; the fleet's rollouts and `eyelet-agent install PACKAGE` change what is served",
    ),
)


def find_refusal(path: str) -> HttpError | None:
    """Why a known call is not served; None for paths that mean nothing."""
    for matches, state, text in _UNSERVED:
        if matches(path):
            return HttpError(state, text)
    return None
