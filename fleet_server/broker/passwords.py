"""Password verifiers in mosquitto's own format, so that changing the broker needs no new enrolment.

`$7$<iterations>$<salt>$<hash>`: PBKDF2 with HMAC-SHA-512, salt and hash in base64. Few iterations
suffice, because devices make passwords of at least 32 random characters, which no one guesses.
"""

import base64
import binascii
import hashlib
import hmac
import os

ITERATIONS = 101
SALT_BYTES = 12
HASH_BYTES = 64
MAX_ITERATIONS = 1_000_000
_NOBODY = "$7$101$AAAAAAAAAAAAAAAA$" + base64.b64encode(bytes(HASH_BYTES)).decode()


def hash_password(password: str | bytes, iterations: int = ITERATIONS) -> str:
    """A verifier for `password` with a new random salt."""
    salt = os.urandom(SALT_BYTES)
    return _format(iterations, salt, _derive(password, salt, iterations))


def check_password(password: str | bytes, verifier: str | None) -> bool:
    """Whether `password` belongs to `verifier`; False, after the same work, where there is none or it is broken."""
    parsed = _parse(verifier) if verifier else None
    iterations, salt, expected = parsed or _parse(_NOBODY) or (ITERATIONS, b"", b"")
    same = hmac.compare_digest(_derive(password, salt, iterations), expected)
    return same and parsed is not None


def _derive(password: str | bytes, salt: bytes, iterations: int) -> bytes:
    data = password.encode() if isinstance(password, str) else password
    return hashlib.pbkdf2_hmac("sha512", data, salt, iterations, HASH_BYTES)


def _format(iterations: int, salt: bytes, derived: bytes) -> str:
    return f"$7${iterations}${base64.b64encode(salt).decode()}${base64.b64encode(derived).decode()}"


def _parse(verifier: str) -> tuple[int, bytes, bytes] | None:
    parts = verifier.split("$")
    if len(parts) != 5 or parts[:2] != ["", "7"]:  # noqa: PLR2004
        return None
    try:
        iterations = int(parts[2])
        salt, derived = base64.b64decode(parts[3], validate=True), base64.b64decode(parts[4], validate=True)
    except (ValueError, binascii.Error):
        return None
    return (iterations, salt, derived) if 0 < iterations <= MAX_ITERATIONS and len(derived) == HASH_BYTES else None
