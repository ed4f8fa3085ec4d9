"""The HTTP application: routes, one body for every error, bounds, and the artifact application beside them."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from litestar import Litestar
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin

from contract.errors import ContractError
from fleet_server import VERSION
from fleet_server.api.access import check_host
from fleet_server.api.artifact_app import ARTIFACTS, TARGETS, ArtifactApp
from fleet_server.api.command_routes import COMMAND_ROUTES
from fleet_server.api.fleet_routes import FLEET_ROUTES
from fleet_server.api.floor import Floor
from fleet_server.api.guards import FLOOR, caller_of
from fleet_server.api.refusals import answer_http, answer_known, answer_unforeseen
from fleet_server.api.sample_routes import SAMPLE_ROUTES
from fleet_server.api.trust_routes import TRUST_ROUTES
from fleet_server.errors import FleetError
from fleet_server.web.pages import WEB_ROUTES

BODY_MAX_BYTES = 1 << 20
PUBLIC = frozenset({"/v1/server", "/v1/enroll"})
"""Paths that need no credentials, beside the dashboard's files and the description of the interface."""
Message = MutableMapping[str, Any]
Asgi = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]


def build_application(floor: Floor) -> Asgi:
    """The ASGI application of the server."""
    routes = _build_routes(floor)
    artifacts = ArtifactApp(floor)

    async def application(scope: Message, receive: Any, send: Any) -> None:  # noqa: ANN401  (ASGI's own types)
        if scope["type"] == "http" and str(scope["path"]).startswith((ARTIFACTS, TARGETS)):
            await artifacts(scope, receive, send)
        else:
            await routes(scope, receive, send)  # type: ignore[arg-type]

    return application


def _build_routes(floor: Floor) -> Litestar:
    return Litestar(
        route_handlers=[TRUST_ROUTES, FLEET_ROUTES, COMMAND_ROUTES, SAMPLE_ROUTES, WEB_ROUTES],
        state=State({FLOOR: floor}),
        before_request=_admit,
        exception_handlers={
            FleetError: answer_known,
            ContractError: answer_known,
            HTTPException: answer_http,
            Exception: answer_unforeseen,
        },
        request_max_body_size=BODY_MAX_BYTES,
        openapi_config=OpenAPIConfig(
            title="Eyelet fleet server",
            version=VERSION,
            description="REST interface between studio, command line, devices and fleet server.",
            path="/openapi",
            render_plugins=[JsonRenderPlugin(path="/openapi.json")],
        ),
        logging_config=None,
    )


async def _admit(request: Any) -> None:  # noqa: ANN401  (litestar passes its request)
    """Check host and credentials before the body is read; which callers a route takes, the route says."""
    check_host(request.app.state[FLOOR], request.headers)
    path = request.url.path
    if path.startswith("/v1/") and path not in PUBLIC:
        caller_of(request)
