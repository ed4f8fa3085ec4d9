"""Claim tokens: what a person hands to a device so that it may enrol once."""

import base64
import binascii
from typing import ClassVar

import msgspec

from contract.codec import decode, encode
from contract.errors import FormatError
from contract.manifest import Id

TOKEN_PREFIX = "eyelet1."  # noqa: S105
TOKEN_MAX_BYTES = 8 * 1024


class Claim(msgspec.Struct, frozen=True, omit_defaults=True):
    """The content of a claim token. `secret` is good for one enrolment until `expires_at`."""

    SCHEMA_VERSION: ClassVar[int] = 1

    schema_version: int
    claim_id: str
    server_url: str
    secret: str
    root_sha256: str  # of the TUF root (1.root.json) that the device must start from
    fleet: Id
    device: Id
    expires_at: str
    ca_sha256: str = ""  # of the server's CA certificate (DER); empty on loopback


def build_token(claim: Claim) -> str:
    """The claim as one line of text."""
    return TOKEN_PREFIX + base64.urlsafe_b64encode(encode(claim)).decode().rstrip("=")


def parse_token(token: str) -> Claim:
    """Read a claim token.

    Raises:
        FormatError: it is none, or it was cut short.
    """
    text = token.strip()
    if not text.startswith(TOKEN_PREFIX):
        raise FormatError(f"a claim token begins with {TOKEN_PREFIX!r}; got {text[:12]!r}. Copy the whole line")
    body = text[len(TOKEN_PREFIX) :]
    try:
        data = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise FormatError("the claim token is cut short or mistyped; copy the whole line") from error
    return decode(data, Claim, "the claim token", TOKEN_MAX_BYTES)
