"""The settings of the endpoint's door, checked before anything is bound: token, TLS, and that neither is missing."""

import hashlib
import ipaddress
import re
import secrets
import ssl
import stat
from pathlib import Path

from contract.errors import ContractError
from contract.files import read_bounded, write_atomic
from edge_agent.listening import ListenError
from edge_agent.settings import Settings
from edge_agent.worker.messages import Access

TOKEN_MAX_BYTES = 4096
TOKEN_LEAST_LENGTH = 16
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*").fullmatch  # RFC 6750


def prepare_access(settings: Settings, folder: Path) -> Access:
    """Who may use the endpoint; makes the token file where it is named and missing. Relative paths lie in `folder`.

    Raises:
        ListenError: the address is beyond loopback without token and TLS, or one of their files can not be used.
    """
    if bool(settings.tls_cert) != bool(settings.tls_key):
        raise ListenError("tls_cert and tls_key belong together; one of them is not set")
    if not is_loopback(settings.http_host):
        missing = [name for name in ("http_token_file", "tls_cert", "tls_key") if not getattr(settings, name)]
        if missing:
            raise ListenError(
                f"http_host {settings.http_host} is reached from other machines, so {' and '.join(missing)} must be set, too; "
                "or leave http_host at 127.0.0.1"
            )
    cert, key = (str((folder / path).absolute()) if path else "" for path in (settings.tls_cert, settings.tls_key))
    if cert:
        _check_certificate(cert, key)
    token = _load_token((folder / settings.http_token_file).absolute()) if settings.http_token_file else ""
    return Access(hashlib.sha256(token.encode()).hexdigest() if token else "", cert, key)


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's own.

    Raises:
        ListenError: it is no address.
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError as error:
        raise ListenError(f"http_host is an address such as 127.0.0.1, ::1 or 0.0.0.0, not {host[:80]!r}") from error


def _check_certificate(cert: str, key: str) -> None:
    for name, path in (("tls_cert", cert), ("tls_key", key)):
        if not Path(path).is_file():
            raise ListenError(f"{name} {path} is not there")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password=lambda: "")
        mode = Path(key).stat().st_mode
    except (OSError, ssl.SSLError, ValueError) as error:
        raise ListenError(f"tls_cert {cert} with tls_key {key} can not be used: {_reason(error)}") from error
    if mode & stat.S_IRWXO:
        raise ListenError(f"tls_key {key} can be read by everyone on this machine; `chmod 600` it")


def _reason(error: Exception) -> str:
    """OpenSSL's reason in words."""
    if not isinstance(error, ssl.SSLError):
        return str(error)
    if error.reason == "KEY_VALUES_MISMATCH":
        return "the key belongs to another certificate"
    return f"both must be PEM files, the key without a passphrase ({error.reason or 'not PEM'})"


def _load_token(path: Path) -> str:
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, secrets.token_urlsafe(32).encode() + b"\n", 0o600)
        mode = path.stat().st_mode
        token = read_bounded(path, TOKEN_MAX_BYTES).decode("ascii").strip()
    except (OSError, ContractError, UnicodeDecodeError) as error:
        raise ListenError(f"http_token_file {path} can not be used: {error}") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ListenError(f"http_token_file {path} can be read by others on this machine; `chmod 600` it and choose another token")
    if len(token) < TOKEN_LEAST_LENGTH or not _TOKEN(token):
        raise ListenError(f"http_token_file {path} must hold one line of {TOKEN_LEAST_LENGTH} or more letters, digits and ._~+/-")
    return token
