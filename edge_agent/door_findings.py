"""What is wrong with the endpoint's door: its address, token and certificate, as `eyelet-agent doctor` says it."""

import datetime
from pathlib import Path

from contract.errors import ContractError
from contract.files import read_bounded
from edge_agent.findings import GOOD, NOTE, WRONG, Finding
from edge_agent.http_access import prepare_access
from edge_agent.listening import ListenError
from edge_agent.settings import Settings

CERTIFICATE_MAX_BYTES = 1 << 20
RENEW_WITHIN_DAYS = 30
_SUBJECT = "Endpoint"
_RENEW = "Put a new certificate into its place and restart the agent"


def examine_door(settings: Settings, folder: Path) -> list[Finding]:
    """Whether the agent could open its door; makes nothing. Nothing is said of a plain door on loopback."""
    token_is_there = not settings.http_token_file or (folder / settings.http_token_file).exists()
    try:
        if token_is_there:
            prepare_access(settings, folder)
        return [_certificate(folder / settings.tls_cert)] if settings.tls_cert else []
    except ListenError as error:
        return [Finding(_SUBJECT, WRONG, str(error), "Until then the agent does not start")]
    except (OSError, ValueError, ContractError) as error:
        return [Finding(_SUBJECT, WRONG, f"the certificate {settings.tls_cert} can not be read: {error}", _RENEW)]


def _certificate(path: Path) -> Finding:
    from cryptography import x509

    certificate = x509.load_pem_x509_certificate(read_bounded(path, CERTIFICATE_MAX_BYTES))  # the first one is the endpoint's own
    now = datetime.datetime.now(tz=datetime.timezone.utc)
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now < begin:
        return Finding(_SUBJECT, WRONG, f"its certificate holds from {begin:%Y-%m-%d} on, clients refuse it", "Set the clock, or see to it")
    if now >= end:
        return Finding(_SUBJECT, WRONG, f"its certificate has expired on {end:%Y-%m-%d}, clients refuse it", _RENEW)
    if end - now < datetime.timedelta(days=RENEW_WITHIN_DAYS):
        return Finding(_SUBJECT, NOTE, f"its certificate expires on {end:%Y-%m-%d}", _RENEW)
    return Finding(_SUBJECT, GOOD, f"its certificate holds until {end:%Y-%m-%d}")
