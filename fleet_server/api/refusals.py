"""Every answer of 400 and above has the same body: what is wrong, and what to do."""

import logging
from typing import Any

from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException

from contract.codec import encode
from contract.errors import ContractError, SizeError
from contract.rest import ErrorBody
from fleet_server.errors import FleetError

_LOG = logging.getLogger(__name__)


def error_body(error: FleetError | ContractError) -> tuple[int, bytes]:
    """HTTP code and body for an error of this server or of the contract."""
    if isinstance(error, FleetError):
        return error.http_code, encode(ErrorBody(str(error), error.advice))
    return 413 if isinstance(error, SizeError) else 422, encode(ErrorBody(str(error)))


def answer_known(_request: Request[Any, Any, Any], error: FleetError | ContractError) -> Response[bytes]:
    """Answer an error that says itself what it is."""
    code, body = error_body(error)
    headers = {"www-authenticate": 'Bearer realm="eyelet"'} if code == 401 else {}  # noqa: PLR2004
    return Response(body, status_code=code, media_type="application/json", headers=headers)


def answer_http(_request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """Answer an error that the framework found: wrong body, wrong path, wrong method."""
    text = error.detail
    if isinstance(error, ValidationException) and error.extra:
        text = "; ".join(_explain(item) for item in error.extra)
    return Response(encode(ErrorBody(text[:1000])), status_code=error.status_code, media_type="application/json", headers=error.headers)


def _explain(item: Any) -> str:  # noqa: ANN401  (the framework's own loose type)
    if isinstance(item, dict):
        place = f" ({item['key']})" if item.get("key") else ""
        return f"{item.get('message', item)}{place}"
    return str(item)


def answer_unforeseen(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """An error nobody foresaw: the log has the traceback, the caller has no inside view."""
    _LOG.error("An unforeseen error at %s %s", request.method, request.url.path, exc_info=error)
    body = ErrorBody("the server failed at this request; it is the server's fault", "Look into its log.")
    return Response(encode(body), status_code=500, media_type="application/json")
