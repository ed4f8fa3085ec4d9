"""The wish over HTTP, for a device that reaches the server but not its broker."""

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from contract.codec import MESSAGE_MAX_BYTES
from edge_agent.http_client import HttpError, ServerHttp
from edge_agent.threads import in_thread

POLL_S = 60.0

log = logging.getLogger(__name__)


async def poll_desired(
    http: ServerHttp, is_connected: Callable[[], bool], take: Callable[[bytes], object], *, interval_s: float = POLL_S
) -> None:
    """Ask for the desired document each `interval_s` while there is no MQTT connection; runs until cancelled.

    `take` verifies what came, exactly as if it had come over MQTT.
    """
    etag = ""
    while True:
        await asyncio.sleep(interval_s)
        if is_connected():
            continue
        headers = {"If-None-Match": etag} if etag else {}
        try:
            body, etag = await in_thread("poll-desired", partial(http.get, "/v1/device/desired", 2 * MESSAGE_MAX_BYTES, headers))
        except HttpError as error:
            log.debug("The desired document could not be polled: %s", error)
            continue
        if body:
            take(body)
