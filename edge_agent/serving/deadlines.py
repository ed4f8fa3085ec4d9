"""How long a request may wait for its answer: what it asks for, never longer than the server's own bound."""

from collections.abc import Mapping

from edge_agent.serving.http_messages import HttpError

HEADER = "timeout"
_DIGITS = 15


def timeout_s(headers: Mapping[str, str], parameter: object, longest_s: float) -> float:
    """Seconds from `parameters.timeout` of the request, else from the header `Timeout`; both in microseconds, 0 is none.

    Raises:
        HttpError: 400 where it is no whole number.
    """
    asked = headers.get(HEADER) if parameter is None else parameter
    if asked is None:
        return longest_s
    if isinstance(asked, str) and asked.isascii() and asked.isdigit() and len(asked) <= _DIGITS:
        asked = int(asked)
    if not isinstance(asked, int) or isinstance(asked, bool) or asked < 0:
        raise HttpError(400, f"timeout is a whole number of microseconds, got {str(asked)[:30]!r}")
    return min(longest_s, asked / 1e6) if asked else longest_s
