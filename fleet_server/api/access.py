"""Who is asking: operators by bearer token, devices by HTTP Basic; nothing else."""

import base64
import binascii
from collections.abc import Mapping
from typing import NamedTuple

from fleet_server.api.floor import Floor
from fleet_server.devices.credentials import is_token
from fleet_server.errors import NotAllowedError, NotKnownError

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]", "::1"})
_ADVICE = "Send Authorization: Bearer with the token of the file operator.token, or HTTP Basic with a device's id and password."


class Caller(NamedTuple):
    """Who is asking: an operator, or a device by its id."""

    operator: bool
    device: str


def identify(floor: Floor, authorization: str, peer: str) -> Caller:
    """The caller by the `Authorization` header.

    Raises:
        NotKnownError: no valid credentials.
        TooManyError: too many wrong ones from this address.
    """
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "bearer" and is_token(floor.operator_token, value.strip()):
        return Caller(operator=True, device="")
    if scheme.lower() == "basic":
        device, password = _basic(value)
        if floor.credentials.is_device(device, password):
            return Caller(operator=False, device=device)
    if authorization:
        floor.logins.check(peer)
        floor.logins.fail(peer)
    raise NotKnownError("no valid credentials came with the request", _ADVICE)


def _basic(value: str) -> tuple[str, str]:
    try:
        device, _, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, ValueError) as error:
        raise NotKnownError("the Authorization header is no HTTP Basic", _ADVICE) from error
    return device, password


def require_operator(caller: Caller) -> None:
    """Refuse devices.

    Raises:
        NotAllowedError: the caller is a device.
    """
    if not caller.operator:
        raise NotAllowedError("this is for operators; a device may not do it")


def check_host(floor: Floor, headers: Mapping[str, str]) -> None:
    """On loopback the `Host` header must be loopback too, else a web page could reach the server by DNS rebinding.

    Raises:
        NotAllowedError: it is not.
    """
    if not floor.loopback:
        return
    host = headers.get("host", "")
    name = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
    if name.lower() not in LOOPBACK_HOSTS:
        raise NotAllowedError(
            f"the Host header is {host[:80]!r}; this server listens on loopback only", "Use http://127.0.0.1 or http://localhost."
        )
