"""Make claim tokens.

The secret is made here and only its SHA-256 goes to the server; the token carries this studio's root
of trust. So a stolen server can enrol nobody to a root of its own.
"""

import datetime
import secrets

from contract.claims import Claim, build_token
from contract.codec import format_time
from contract.errors import ContractError
from contract.files import sha256_of
from contract.names import check_id
from contract.rest import ClaimRequest
from desktop_app.errors import ReleaseError
from desktop_app.release.keys import KeyStore
from desktop_app.release.repositories import find_repository
from desktop_app.release.server_client import ServerClient
from desktop_app.release.tuf_repository import utc_clock

DEFAULT_LIFE = datetime.timedelta(hours=24)
SECRET_BYTES = 32


def make_claim(
    client: ServerClient, store: KeyStore, device: str, *, life: datetime.timedelta = DEFAULT_LIFE, hardware_class: str = ""
) -> str:
    """A token with which `device` may enrol once within `life`.

    Raises:
        ReleaseError: the device's name is none, nothing was published to this server yet, or the
            server's root of trust is not this studio's.
        ServerError: the server refused or can not be reached.
    """
    try:
        check_id(device, "device")
    except ContractError as error:
        raise ReleaseError(str(error)) from error
    root_sha256 = find_repository(store, client.online_key(), first_root=client.first_root()).root_digest()
    secret, claim_id = secrets.token_urlsafe(SECRET_BYTES), secrets.token_hex(8)
    expires_at = format_time(utc_clock() + life)
    answer = client.create_claim(
        ClaimRequest(
            claim_id=claim_id, secret_sha256=sha256_of(secret.encode()), device=device, expires_at=expires_at, hardware_class=hardware_class
        )
    )
    if answer.root_sha256 != root_sha256:
        raise ReleaseError(
            f"the server's root of trust ({answer.root_sha256[:16]}…) is not the one this studio published to it ({root_sha256[:16]}…)",
            "Do not enrol devices there: it may be another server, or one that was tampered with.",
        )
    return build_token(
        Claim(
            schema_version=Claim.SCHEMA_VERSION,
            claim_id=claim_id,
            server_url=client.url,
            secret=secret,
            root_sha256=root_sha256,
            fleet=answer.fleet,
            device=device,
            expires_at=expires_at,
            ca_sha256=answer.ca_sha256,
        )
    )
