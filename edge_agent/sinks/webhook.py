"""Each record as a JSON body of an HTTP POST.

Taken is what is answered with 2xx. No answer, 408, 425, 429 and 5xx are tried again (after
`Retry-After` at the earliest, where it is said); any other answer means that the address does not
want the record: it is lost, and said. Redirects are not followed.
"""

import contextlib
import time
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec

from edge_agent.sinks.outgoing import QueuedSink, QueuePolicy, UnsentError
from edge_agent.sinks.sink import Record, SinkError
from edge_agent.sources.device_secrets import SecretName, read_secret
from edge_agent.sources.source import Options, resolve

TRY_AGAIN = frozenset({408, 425, 429})
RETRY_AFTER_MAX_S = 300.0
ADVICE = "Check the address, its token and the network; what waits is sent when it answers again"
ANSWER_MAX_BYTES = 64 * 1024
_OK, _REDIRECT, _SERVER = 200, 300, 500


class WebhookOptions(Options, frozen=True):
    """`token` names a file in the agent's folder `secrets`, sent as `Authorization: Bearer`; `queue` records may wait."""

    url: str
    token: SecretName = ""
    ca_file: str = ""
    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=300)] = 10.0
    queue: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 1000


class WebhookSender:
    """Posts; keeps one connection."""

    def __init__(self, options: WebhookOptions, data_folder: Path) -> None:
        """Raises SourceError where a secret is missing, SinkError where the certificate can not be read."""
        import urllib3

        token = read_secret(options.token, data_folder)
        self._url = options.url
        self._headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
        trust: dict[str, Any] = {}
        if options.ca_file:
            ca_file = resolve(options.ca_file, data_folder)
            if not ca_file.is_file():
                raise SinkError(f"the certificate authority {ca_file} can not be read")
            trust["ca_certs"] = str(ca_file)
        self._pool = urllib3.PoolManager(
            num_pools=1, maxsize=1, timeout=urllib3.Timeout(connect=options.timeout_s, read=options.timeout_s), retries=False, **trust
        )
        self._not_before_s = 0.0

    def send(self, body: bytes, _record: Record) -> None:
        """Post one record; raises `UnsentError`."""
        import urllib3

        if time.monotonic() < self._not_before_s:
            raise UnsentError("the address asked for a pause")
        try:
            answer = self._pool.request("POST", self._url, body=body, headers=self._headers, preload_content=False, redirect=False)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise UnsentError(f"{_place(self._url)} gives no answer: {str(error)[:200]}") from error
        try:
            self._judge(answer.status, answer.headers.get("Retry-After", ""))
        finally:
            _finish(answer)

    def _judge(self, state: int, retry_after: str) -> None:
        if _OK <= state < _REDIRECT:
            return
        if state in TRY_AGAIN or state >= _SERVER:
            if retry_after.isdecimal():
                self._not_before_s = time.monotonic() + min(RETRY_AFTER_MAX_S, float(retry_after))
            raise UnsentError(f"{_place(self._url)} answered {state}")
        raise UnsentError(f"{_place(self._url)} does not want it: it answered {state}", again=False)

    def idle(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Close the connection."""
        self._pool.clear()


def _finish(answer: Any) -> None:  # noqa: ANN401  (the library is loaded where it is needed)
    """Read a short body, after which the connection serves again; one that is long, or does not come, is cut off."""
    import urllib3

    with contextlib.suppress(urllib3.exceptions.HTTPError, OSError, ValueError):
        answer.read(ANSWER_MAX_BYTES)
    if not answer.closed:
        answer.close()
    answer.release_conn()


def _place(url: str) -> str:
    """Without a query, which may hold a key."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"[:120]


def open_sink(options: WebhookOptions, data_folder: Path) -> QueuedSink:
    """Check address and secrets; nothing is sent yet. Raises `SourceError`."""
    parts = urlsplit(options.url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.password:
        raise SinkError("the webhook's url must be http://host/… or https://host/…, without an account in it")
    return QueuedSink(f"webhook {parts.netloc}", WebhookSender(options, data_folder), QueuePolicy(options.queue))
