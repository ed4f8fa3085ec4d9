"""The fleet server's REST interface, typed, as an operator uses it; every refusal becomes one kind of error.

Bodies are those of `contract.rest`. The client holds one connection pool; use it as a context manager.
"""

import base64
import contextlib
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import httpx
import msgspec

from contract.codec import encode
from contract.errors import ContractError
from contract.files import CHUNK_BYTES, read_bounded
from contract.rest import (
    AliasRequest,
    AuditEntry,
    ClaimAnswer,
    ClaimRequest,
    DeviceView,
    ErrorBody,
    EventPage,
    ModelView,
    Publication,
    PublicationAnswer,
    RolloutAction,
    RolloutSpec,
    RolloutView,
    ServerInfo,
    ServerKeys,
    WindowView,
)
from contract.samples import SampleView
from contract.signing import PublicKey, public_key_from_dict
from desktop_app.errors import StudioError

TOKEN_MAX_BYTES = 4096
ANSWER_MAX_BYTES = 64 << 20
TIMEOUT = httpx.Timeout(30.0, connect=5.0)
NOT_FOUND = 404
CONFLICT = 409
UNAUTHORIZED = (401, 403)
RETRIES = 3
RETRY_DELAY_S = 0.3

T = TypeVar("T")


class ServerError(StudioError):
    """The fleet server can not be reached, or refused; `http_code` is 0 where no answer came."""

    def __init__(self, message: str, advice: str = "", http_code: int = 0) -> None:
        super().__init__(message, advice)
        self.http_code = http_code


def read_token(path: Path) -> str:
    """The operator's token from a file.

    Raises:
        ServerError: it can not be read or is empty.
    """
    try:
        token = read_bounded(path, TOKEN_MAX_BYTES).decode().strip()
    except (OSError, ContractError, UnicodeDecodeError) as error:
        raise ServerError(
            f"the token file {path} can not be read: {error}", "The server writes it as operator.token into its data folder"
        ) from error
    if not token:
        raise ServerError(f"the token file {path} is empty", "The server writes it as operator.token into its data folder")
    return token


class ServerClient:
    """An operator's view of the server at `url`; `transport` is for tests."""

    def __init__(self, url: str, token: str, *, transport: httpx.BaseTransport | None = None) -> None:
        if not url.startswith(("http://", "https://")):
            raise ServerError(f"{url!r} is no address of a fleet server", "Give it as http://host:port")
        self.url = url.rstrip("/")
        headers = {"Authorization": f"Bearer {token}"}
        context = ssl.create_default_context()  # the machine's own authorities, or those of SSL_CERT_FILE; no proxy from the environment
        self._http = httpx.Client(base_url=self.url, headers=headers, timeout=TIMEOUT, transport=transport, verify=context, trust_env=False)

    def __enter__(self) -> "ServerClient":  # noqa: PYI034
        """Use as a context manager."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    # ------------------------------------------------------------------ server and trust

    def server_info(self) -> ServerInfo:
        """Public facts of the server."""
        return self._get("/v1/server", ServerInfo)

    def server_keys(self) -> ServerKeys:
        """Public halves of the online keys."""
        return self._get("/v1/trust/keys", ServerKeys)

    def online_key(self) -> PublicKey:
        """The key that signs snapshot and timestamp."""
        return public_key_from_dict(self.server_keys().online)

    def publish(self, roles: Mapping[str, bytes], roots: Sequence[bytes] = ()) -> PublicationAnswer:
        """Send signed role files by role name, with the `roots` that lie between the server's and the one among `roles`."""
        named = {role: base64.b64encode(data).decode() for role, data in roles.items()}
        body = Publication(named, tuple(base64.b64encode(root).decode() for root in roots))
        return self._post("/v1/trust/publications", body, PublicationAnswer)

    def fetch_metadata(self, file: str) -> bytes | None:
        """A TUF metadata file that the server serves, e.g. `timestamp.json`; None where it has none."""
        return self._fetch(f"/v1/tuf/metadata/{file}")

    def first_root(self) -> bytes | None:
        """The root from which this server's devices start; None where nothing was published yet."""
        return self.fetch_metadata("1.root.json")

    def create_claim(self, request: ClaimRequest) -> ClaimAnswer:
        """Register a claim by the digest of its secret."""
        return self._post("/v1/claims", request, ClaimAnswer)

    # ------------------------------------------------------------------ artifacts

    def has_artifact(self, sha256: str) -> bool:
        """Whether the server holds a file."""
        answer = self._request("HEAD", f"/v1/artifacts/{sha256}")
        if answer.status_code == NOT_FOUND:
            return False
        self._check(answer)
        return True

    def put_artifact(self, sha256: str, source: Path | bytes, on_bytes: Callable[[int], None] = lambda _count: None) -> None:
        """Upload a file in pieces; `on_bytes` hears how many bytes each piece has."""
        size = source.stat().st_size if isinstance(source, Path) else len(source)
        headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
        self._check(self._request("PUT", f"/v1/artifacts/{sha256}", content=_pieces(source, on_bytes), headers=headers))

    def fetch_artifact(self, sha256: str) -> bytes | None:
        """A file of at most 64 MiB; None where the server has none."""
        return self._fetch(f"/v1/artifacts/{sha256}")

    # ------------------------------------------------------------------ devices and models

    def list_devices(self) -> list[DeviceView]:
        """Every device."""
        return self._get("/v1/devices", list[DeviceView])

    def get_device(self, device: str) -> DeviceView:
        """One device."""
        return self._get(f"/v1/devices/{device}", DeviceView)

    def revoke_device(self, device: str) -> DeviceView:
        """Take a device's credentials away."""
        return self._post(f"/v1/devices/{device}/revoke", None, DeviceView)

    def list_models(self) -> list[ModelView]:
        """Every registered model."""
        return self._get("/v1/models", list[ModelView])

    def get_model(self, model: str) -> ModelView:
        """One registered model."""
        return self._get(f"/v1/models/{model}", ModelView)

    def find_model(self, model: str) -> ModelView | None:
        """One registered model, None where the server does not know it."""
        try:
            return self.get_model(model)
        except ServerError as error:
            if error.http_code == NOT_FOUND:
                return None
            raise

    def set_alias(self, model: str, alias: str, version: int) -> ModelView:
        """Point an alias at a version."""
        answer = self._request("PUT", f"/v1/models/{model}/aliases/{alias}", content=encode(AliasRequest(version)))
        return self._decode(answer, ModelView)

    # ------------------------------------------------------------------ rollouts

    def create_rollout(self, spec: RolloutSpec) -> RolloutView:
        """Ask for a rollout."""
        return self._post("/v1/rollouts", spec, RolloutView)

    def list_rollouts(self) -> list[RolloutView]:
        """Every rollout."""
        return self._get("/v1/rollouts", list[RolloutView])

    def get_rollout(self, rollout: str) -> RolloutView:
        """One rollout with its gates, arms and verdict."""
        return self._get(f"/v1/rollouts/{rollout}", RolloutView)

    def act_on_rollout(self, rollout: str, action: str, revision: int, reason: str = "") -> RolloutView:
        """`approve`, `start`, `pause`, `resume`, `abort` or `rollback`, if it is still at `revision`."""
        return self._post(f"/v1/rollouts/{rollout}/{action}", RolloutAction(revision, reason), RolloutView)

    # ------------------------------------------------------------------ what happened

    def list_events(self, *, after: int = 0, device: str = "", limit: int = 200) -> EventPage:
        """Events after an id, in the server's order."""
        return self._get("/v1/events", EventPage, after=after, device=device, limit=limit)

    def list_windows(self, *, after: int = 0, device: str = "", rollout: str = "", limit: int = 200) -> list[WindowView]:
        """Windows after an id."""
        return self._get("/v1/windows", list[WindowView], after=after, device=device, rollout=rollout, limit=limit)

    def list_audit(self, *, limit: int = 200) -> list[AuditEntry]:
        """Who did what and when, newest first."""
        return self._get("/v1/audit", list[AuditEntry], limit=limit)

    # ------------------------------------------------------------------ field samples

    def list_samples(self, *, after: int = 0, limit: int = 500, **filters: str | float) -> list[SampleView]:
        """Field samples after an id; `filters` are device, application, model, label, reason, command_id, below_score."""
        return self._get("/v1/samples", list[SampleView], after=after, limit=limit, **filters)

    def fetch_sample(self, sample_id: int) -> bytes | None:
        """The data of a field sample; None where it was deleted meanwhile."""
        return self._fetch(f"/v1/samples/{sample_id}/data")

    # ------------------------------------------------------------------ the wire

    def _get(self, path: str, kind: type[T], **query: Any) -> T:  # noqa: ANN401
        given = {name: value for name, value in query.items() if value not in {"", None}}
        return self._decode(self._request("GET", path, params=given), kind)

    def _post(self, path: str, body: msgspec.Struct | None, kind: type[T]) -> T:
        content = encode(body) if body is not None else b""
        return self._decode(self._request("POST", path, content=content, headers={"Content-Type": "application/json"}), kind)

    def _fetch(self, path: str) -> bytes | None:
        answer = self._request("GET", path)
        if answer.status_code == NOT_FOUND:
            return None
        self._check(answer)
        return answer.content

    def _request(self, method: str, path: str, **options: Any) -> httpx.Response:  # noqa: ANN401
        """Send; what only reads is tried again while the server can not be reached."""
        attempts = RETRIES if method in {"GET", "HEAD"} else 1
        for attempt in range(1, attempts):
            with contextlib.suppress(httpx.ConnectError, httpx.RemoteProtocolError):
                return self._http.request(method, path, **options)
            time.sleep(RETRY_DELAY_S * attempt)
        try:
            return self._http.request(method, path, **options)
        except httpx.TransportError as error:
            advice = "Is it running (eyelet-fleet serve), and is the address right?"
            raise ServerError(f"the fleet server at {self.url} did not answer: {error or type(error).__name__}", advice) from error

    def _decode(self, answer: httpx.Response, kind: type[T]) -> T:
        self._check(answer)
        if len(answer.content) > ANSWER_MAX_BYTES:
            raise ServerError(f"the server's answer has {len(answer.content)} bytes, at most {ANSWER_MAX_BYTES} are accepted")
        try:
            return msgspec.json.decode(answer.content, type=kind)
        except msgspec.DecodeError as error:
            raise ServerError(
                f"the answer to {answer.request.method} {answer.request.url.path} is not what this studio expects: {error}",
                "Are studio and server of the same version?",
            ) from error

    def _check(self, answer: httpx.Response) -> None:
        if answer.is_success:
            return
        try:
            body = msgspec.json.decode(answer.content, type=ErrorBody)
        except msgspec.DecodeError:
            body = ErrorBody(f"the server answered {answer.status_code} to {answer.request.method} {answer.request.url.path}")
        advice = body.advice
        if not advice and answer.status_code in UNAUTHORIZED:
            advice = "Is the token that of this server? It is in operator.token in the server's data folder"
        raise ServerError(body.error, advice, answer.status_code)


def _pieces(source: Path | bytes, on_bytes: Callable[[int], None]) -> Iterator[bytes]:
    if isinstance(source, bytes):
        yield source
        on_bytes(len(source))
        return
    with source.open("rb") as file:
        while piece := file.read(CHUNK_BYTES):
            yield piece
            on_bytes(len(piece))
