"""Who is let in: the names of loopback, and beyond loopback a bearer token over TLS."""

import functools
import hashlib
import hmac
import ipaddress
import re
import socket
import ssl
from collections.abc import Mapping

from edge_agent.serving.http_messages import HttpError
from edge_agent.worker.messages import Access

_NUMERIC = re.compile(r"[0-9a-fx.]+").fullmatch
_PORT = re.compile(r"[0-9]{0,5}").fullmatch
_CHALLENGE = (("WWW-Authenticate", 'Bearer realm="eyelet-agent"'),)


class AccessError(Exception):
    """A socket can not be served as it is bound."""


def check_host(headers: Mapping[str, str]) -> None:
    """Refuse what a web page in a browser on this machine could send through a name that it controls.

    Raises:
        HttpError: `Host` is no name of loopback, or `Origin` is another site's.
    """
    host = headers.get("host", "localhost")
    if not is_loopback_name(host):
        raise HttpError(421, f"this endpoint answers to localhost only, not to {host[:80]!r}", close=True)
    origin = headers.get("origin")
    if origin is not None and not is_loopback_name(origin.partition("://")[2]):
        raise HttpError(403, "requests of other sites are not taken", close=True)


@functools.lru_cache(maxsize=64)
def is_loopback_name(host: str) -> bool:
    """Whether `host`, with or without a port, is one of the ways to write this machine's loopback.

    `localhost` in any case and with the final dot of DNS; 127.0.0.0/8, also short, octal or hexadecimal as
    `inet_aton` takes it; `[::1]` in any spelling, also IPv4 mapped. No name that a DNS server answers for.
    """
    name, port = _split_port(host.lower())
    if not _PORT(port):
        return False
    if name in {"localhost", "localhost."}:
        return True
    try:
        if name.startswith("["):
            address = ipaddress.IPv6Address(name[1:-1])
            return name.endswith("]") and (address.ipv4_mapped or address).is_loopback
        return bool(_NUMERIC(name)) and ipaddress.IPv4Address(socket.inet_aton(name)).is_loopback
    except (ValueError, OSError):
        return False


def _split_port(host: str) -> tuple[str, str]:
    if host.startswith("["):
        name, bracket, rest = host.partition("]")
        return name + bracket, rest.removeprefix(":") if rest[:1] in {"", ":"} else "wrong"
    name, _, port = host.partition(":")
    return name, port


def check_token(headers: Mapping[str, str], token_sha256: str) -> None:
    """Let in who knows the token.

    Raises:
        HttpError: 401 where there is none, or another.
    """
    scheme, _, token = headers.get("authorization", "").partition(" ")
    found = hashlib.sha256(token.strip(" ").encode("utf-8", "replace")).hexdigest()
    if scheme.lower() != "bearer" or not hmac.compare_digest(found, token_sha256):
        raise HttpError(401, "this endpoint needs the header `Authorization: Bearer TOKEN`", close=True, headers=_CHALLENGE)


def is_loopback(listening: socket.socket) -> bool:
    """Whether a listening socket is TCP on loopback; a Unix socket is not."""
    if listening.family not in {socket.AF_INET, socket.AF_INET6}:
        return False
    return ipaddress.ip_address(listening.getsockname()[0].partition("%")[0]).is_loopback


def is_tcp(listening: socket.socket) -> bool:
    """Whether a listening socket is TCP."""
    return listening.family in {socket.AF_INET, socket.AF_INET6}


def open_tls(listening: socket.socket, access: Access) -> ssl.SSLContext | None:
    """The TLS with which a socket is served; None without.

    Raises:
        AccessError: the socket is bound beyond loopback without token and TLS, or the certificate can not be used.
    """
    if not is_tcp(listening):
        return None
    if not is_loopback(listening) and not (access.token_sha256 and access.tls_cert):
        address = listening.getsockname()[0]
        raise AccessError(f"the endpoint is bound to {address}; beyond loopback it needs a token and TLS")
    return make_tls(access.tls_cert, access.tls_key) if access.tls_cert else None


def make_tls(cert: str, key: str) -> ssl.SSLContext:
    """A server's TLS of at least version 1.2.

    Raises:
        AccessError: a file can not be read, or the two do not fit.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(cert, key, password=lambda: "")
    except (OSError, ssl.SSLError, ValueError) as error:
        raise AccessError(f"the certificate {cert} with the key {key} can not be used: {error}") from error
    return context
