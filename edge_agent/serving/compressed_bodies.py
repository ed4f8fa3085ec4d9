"""Bodies with `Content-Encoding: gzip` or `deflate`."""

import zlib

from edge_agent.serving.connection import Body
from edge_agent.serving.http_messages import HttpError


def unpack(encoding: str, body: Body, limit_bytes: int) -> Body:
    """A body without its encoding.

    Raises:
        HttpError: the encoding is not known, the body is broken, or what it unpacks to is too large.
    """
    if encoding == "identity":
        return body
    if encoding not in {"gzip", "deflate"}:
        raise HttpError(415, f"the content encoding {encoding[:30]!r} is not known; gzip and deflate are")
    decoder = zlib.decompressobj(zlib.MAX_WBITS | 32)  # either header
    try:
        plain = decoder.decompress(body, limit_bytes + 1)
    except zlib.error as error:
        raise HttpError(400, f"the {encoding} body is broken: {error}") from error
    if len(plain) > limit_bytes:
        raise HttpError(413, f"the body unpacks to more than {limit_bytes} bytes")
    if not decoder.eof:
        raise HttpError(400, f"the {encoding} body is cut short")
    if decoder.unused_data:
        raise HttpError(400, f"{len(decoder.unused_data)} bytes follow the end of the {encoding} body; it must be one stream")
    return plain
