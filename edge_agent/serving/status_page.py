"""The status page at `/`: what runs, what is wrong in words and what to do, for a person beside the device.

Made of what the supervisor writes every few seconds (`run/status.json`) and of what the worker that
answers knows itself. One page without scripts or other files; it asks for itself again every five seconds.
"""

import datetime
from pathlib import Path
from typing import Any

import msgspec

from contract.codec import parse_time
from contract.errors import ContractError
from edge_agent.serving.http_messages import Head, Response, json_response
from edge_agent.serving.page_html import Seen, ServedModel, quantiles_ms, render
from edge_agent.status import find_obstacle, read_status
from edge_agent.worker.messages import WindowStats

HEADERS = (
    ("Cache-Control", "no-store"),
    (
        "Content-Security-Policy",
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
)
_NOT_IN_JSON = frozenset({"type", "latency_us", "confidence"})


def look(status_file: Path | None, served: ServedModel | None) -> Seen:
    """What there is to show now."""
    status = read_status(status_file) if status_file is not None else None
    obstacle = find_obstacle(status_file.parent) if status_file is not None else None
    return Seen(status, _age_s(status.at) if status is not None else None, served, obstacle)


def _age_s(at: str) -> float | None:
    try:
        return (datetime.datetime.now(tz=datetime.timezone.utc) - parse_time(at)).total_seconds()
    except ContractError:
        return None


def answer_page(head: Head, seen: Seen) -> Response:
    """The page; as JSON where that is asked for and HTML is not."""
    accepted = head.headers.get("accept", "").lower()
    if "application/json" in accepted and "text/html" not in accepted:
        return json_response(as_json(seen))._replace(headers=HEADERS)
    return Response(200, render(seen).encode(), "text/html; charset=utf-8", HEADERS)


def as_json(seen: Seen) -> dict[str, Any]:
    """The same for programs."""
    served = None if seen.served is None else {**seen.served._asdict(), "windows": [_window_json(one) for one in seen.served.windows]}
    return {"findings": seen.findings, "age_s": seen.age_s, "status": seen.status, "served": served}


def _window_json(window: WindowStats) -> dict[str, Any]:
    content: dict[str, Any] = msgspec.to_builtins(window)
    return {**{name: value for name, value in content.items() if name not in _NOT_IN_JSON}, **quantiles_ms(window)}
