"""The caller of a request as a dependency of the handlers; each route says which callers it takes."""

from typing import Any

from litestar import Request

from fleet_server.api.access import Caller, identify, require_operator
from fleet_server.api.floor import Floor
from fleet_server.errors import NotAllowedError

FLOOR = "floor"


def floor_of(request: Request[Any, Any, Any]) -> Floor:
    """The parts of the server, from the application's state."""
    floor: Floor = request.app.state[FLOOR]
    return floor


def caller_of(request: Request[Any, Any, Any]) -> Caller:
    """Who is asking.

    Raises:
        NotKnownError, TooManyError: no valid credentials.
    """
    return identify(floor_of(request), request.headers.get("authorization", ""), peer_of(request))


def peer_of(request: Request[Any, Any, Any]) -> str:
    """The address that the request came from."""
    return request.client.host if request.client else ""


def take_operator(request: Request[Any, Any, Any]) -> Floor:
    """The floor, for operators.

    Raises:
        NotKnownError, NotAllowedError: the caller is none.
    """
    require_operator(caller_of(request))
    return floor_of(request)


def take_anyone(request: Request[Any, Any, Any]) -> Floor:
    """The floor, for operators and devices alike.

    Raises:
        NotKnownError: the caller is neither.
    """
    caller_of(request)
    return floor_of(request)


def take_device(request: Request[Any, Any, Any]) -> tuple[Floor, str]:
    """Floor and id of a device.

    Raises:
        NotKnownError, NotAllowedError: the caller is none.
    """
    caller = caller_of(request)
    if caller.operator:
        raise NotAllowedError("this is for a device, with its own credentials")
    return floor_of(request), caller.device
