"""HTTP to the fleet server: bounded answers, timeouts, the device's credentials, a pinned CA."""

import hashlib
import http.client
import socket
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import urllib3

from contract.codec import shorten
from contract.rest import ErrorBody

CONNECT_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 30.0
ERROR_MAX_BYTES = 64 * 1024
NOT_MODIFIED = 304
BROKEN = (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError)
"""What urllib3 raises for an answer that is none; ValueError where a chunk claims less than nothing."""


class HttpError(Exception):
    """The server refused or could not be reached; `status` is 0 where no answer came."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class ServerHttp:
    """A pool of connections to one server. Threads may share it."""

    def __init__(self, url: str, *, credentials: tuple[str, str] | None = None, ca_file: Path | None = None) -> None:
        """`credentials` are the device's id and password, sent as HTTP Basic.

        Raises:
            HttpError: `url` is none.
        """
        try:
            parts = urlsplit(url)
            is_address = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        except ValueError:  # half a bracket, or a port beyond all ports
            is_address = False
        if not is_address:
            raise HttpError(f"{url[:120]!r} is no http or https address of a server")
        self.url = url.rstrip("/")
        self._headers = {"User-Agent": "eyelet-agent"}
        if credentials is not None:
            self._headers.update(urllib3.make_headers(basic_auth=f"{credentials[0]}:{credentials[1]}"))
        options: dict[str, Any] = {"ca_certs": str(ca_file)} if ca_file else {}
        timeout = urllib3.Timeout(connect=CONNECT_TIMEOUT_S, read=READ_TIMEOUT_S)
        self._pool = urllib3.PoolManager(num_pools=2, maxsize=2, timeout=timeout, retries=False, **options)

    def open(self, path: str, headers: dict[str, str] | None = None) -> urllib3.BaseHTTPResponse:
        """Begin a GET whose body the caller reads in pieces, and closes.

        Raises:
            HttpError: no answer came. An answer with an error status is returned as it is.
        """
        return self._request("GET", path, headers=headers)

    def get(self, path: str, max_bytes: int, headers: dict[str, str] | None = None) -> tuple[bytes, str]:
        """Body and ETag of a GET; an empty body where the server says 304.

        Raises:
            HttpError: no answer, an error status, or more than `max_bytes`.
        """
        with self._request("GET", path, headers=headers) as response:
            if response.status == NOT_MODIFIED:
                return b"", response.headers.get("ETag", "")
            return _read(response, max_bytes), response.headers.get("ETag", "")

    def post_json(self, path: str, body: bytes, max_bytes: int) -> bytes:
        """Answer to a JSON body; raises as `get`."""
        with self._request("POST", path, body=body, headers={"Content-Type": "application/json"}) as response:
            return _read(response, max_bytes)

    def put(self, path: str, body: bytes, content_type: str, max_bytes: int) -> bytes:
        """Answer to a body of bytes; raises as `get`."""
        with self._request("PUT", path, body=body, headers={"Content-Type": content_type}) as response:
            return _read(response, max_bytes)

    def _request(
        self, method: str, path: str, *, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> urllib3.BaseHTTPResponse:
        try:
            return self._pool.request(
                method,
                self.url + path,
                body=body,
                headers={**self._headers, **(headers or {})},
                preload_content=False,
                redirect=False,
                decode_content=False,
            )
        except BROKEN as error:
            raise HttpError(f"{self.url} can not be reached: {shorten(error)}") from error

    def close(self) -> None:
        """Close all connections."""
        self._pool.clear()


def _read(response: urllib3.BaseHTTPResponse, max_bytes: int) -> bytes:
    try:
        if response.status >= 300:  # noqa: PLR2004
            raise HttpError(describe(response), response.status)
        data = response.read(max_bytes + 1)
    except BROKEN as error:
        raise HttpError(f"the answer broke off: {shorten(error)}") from error
    if len(data) > max_bytes:
        raise HttpError(f"the answer is larger than the {max_bytes} bytes that are accepted here")
    return data


def describe(response: urllib3.BaseHTTPResponse) -> str:
    """An error answer in words: what the server said, if it said anything."""
    try:
        error = msgspec.json.decode(response.read(ERROR_MAX_BYTES), type=ErrorBody)
    except (*BROKEN, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return f"status {response.status}"
    return f"status {response.status}: {shorten(error.error)} {shorten(error.advice)}".rstrip()


def fetch_pinned_ca(url: str, ca_sha256: str) -> str:
    """The certificate (PEM) in the server's chain whose fingerprint the claim token names.

    Raises:
        HttpError: the server can not be reached, or shows no such certificate.
    """
    parts = urlsplit(url)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # the fingerprint is the check
    try:
        with (
            socket.create_connection((parts.hostname, parts.port or 443), CONNECT_TIMEOUT_S) as plain,
            context.wrap_socket(plain, server_hostname=parts.hostname) as connection,
        ):
            chain = _chain(connection)
    except OSError as error:
        raise HttpError(f"{url} can not be reached: {error}") from error
    for certificate in chain:
        if hashlib.sha256(certificate).hexdigest() == ca_sha256:
            return ssl.DER_cert_to_PEM_cert(certificate)
    raise HttpError(
        f"{url} shows no certificate with the fingerprint that the token names ({ca_sha256[:16]}…): it is another server, "
        "or its own certificate authority is missing from what it sends"
    )


def _chain(connection: ssl.SSLSocket) -> list[bytes]:
    """The certificates (DER) that the server sent; before Python 3.13 by the inner object's method."""
    own = connection.getpeercert(binary_form=True)
    chain = [own] if own else []
    if hasattr(connection, "get_unverified_chain"):
        return [bytes(certificate) for certificate in connection.get_unverified_chain()] or chain
    inner = getattr(connection, "_sslobj", None)
    sent = (inner.get_unverified_chain() if inner is not None else None) or ()
    return chain + [ssl.PEM_cert_to_DER_cert(certificate.public_bytes()) for certificate in sent]
