"""Enrolment: a claim token becomes an identity that the device pins for good."""

import base64
import binascii
import secrets
from pathlib import Path
from typing import ClassVar

import msgspec

from contract.claims import parse_token
from contract.codec import decode, encode, parse_time, utc_now
from contract.errors import ContractError, FormatError
from contract.files import read_bounded, sha256_of, write_atomic
from contract.manifest import Id
from contract.rest import EnrollAnswer, EnrollRequest
from contract.signing import PublicKey, generate_key, public_key_from_dict, public_key_to_dict, write_private_key
from edge_agent.home import Home
from edge_agent.http_client import HttpError, ServerHttp, fetch_pinned_ca

ENROLMENT_FILE = "enrolment.json"
ANSWER_MAX_BYTES = 1 << 20
PASSWORD_BYTES = 32


class EnrolmentError(Exception):
    """The device could not be enrolled; nothing was kept."""


class EnrolmentRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the device pinned at its enrolment; small and public."""

    SCHEMA_VERSION: ClassVar[int] = 1

    schema_version: int
    server_url: str
    mqtt_url: str
    fleet: Id
    device: Id
    enrolled_at: str
    root_sha256: str
    hardware_class: str
    ca_sha256: str = ""


class Identity(msgspec.Struct, frozen=True):
    """The enrolled device: its record, password, the pinned director key and the TUF root it starts from."""

    record: EnrolmentRecord
    password: str
    director_key: PublicKey
    root: bytes
    ca_file: Path | None


def enrol(home: Home, token: str, *, hardware_class: str, agent_version: str, again: bool = False) -> EnrolmentRecord:
    """Enrol with a claim token and write the identity, all or nothing.

    Raises:
        EnrolmentError: the device is enrolled already (unless `again`), the token is wrong or used,
            the server can not be reached, or it shows another TUF root than the token names.
    """
    if (home.identity / ENROLMENT_FILE).exists() and not again:
        raise EnrolmentError(f"this device is enrolled already ({home.identity / ENROLMENT_FILE}); add --again to replace that")
    try:
        claim = parse_token(token)
        if parse_time(claim.expires_at) < parse_time(utc_now()):
            raise EnrolmentError(f"the claim token expired at {claim.expires_at}; ask for a new one (or set this device's clock)")
    except ContractError as error:
        raise EnrolmentError(str(error)) from error
    key, password = generate_key(), secrets.token_urlsafe(PASSWORD_BYTES)
    request = EnrollRequest(claim.claim_id, claim.secret, public_key_to_dict(key.public), password, hardware_class, agent_version)
    try:
        ca = fetch_pinned_ca(claim.server_url, claim.ca_sha256) if claim.ca_sha256 else None
        if ca is not None:
            write_atomic(home.identity / "ca.pem", ca.encode())
        http = ServerHttp(claim.server_url, ca_file=home.identity / "ca.pem" if ca else None)
        answer = decode(http.post_json("/v1/enroll", encode(request), ANSWER_MAX_BYTES), EnrollAnswer, "the server's answer")
        root = _check_answer(answer, claim.root_sha256, claim.fleet, claim.device)
    except (HttpError, ContractError) as error:
        raise EnrolmentError(f"{claim.server_url} did not enrol this device: {error}") from error
    record = EnrolmentRecord(
        schema_version=1,
        server_url=claim.server_url,
        mqtt_url=answer.mqtt_url,
        fleet=answer.fleet,
        device=answer.device,
        enrolled_at=utc_now(),
        root_sha256=claim.root_sha256,
        hardware_class=hardware_class,
        ca_sha256=claim.ca_sha256,
    )
    try:
        write_private_key(home.identity / "device.key", key, None)
        write_atomic(home.identity / "password", password.encode(), mode=0o600)
        write_atomic(home.identity / "director.json", encode(answer.director_key))
        write_atomic(home.identity / "root.json", root)
        write_atomic(home.identity / ENROLMENT_FILE, encode(record))  # last: with it the device is enrolled
    except OSError as error:
        raise EnrolmentError(f"the identity can not be written: {error}. Free some space, and ask for a new token") from error
    return record


def _check_answer(answer: EnrollAnswer, root_sha256: str, fleet: str, device: str) -> bytes:
    """The TUF root of an answer that is what the claim token promised."""
    if (answer.fleet, answer.device) != (fleet, device):
        raise FormatError(f"the server enrolled {answer.fleet}/{answer.device}, the token says {fleet}/{device}")
    public_key_from_dict(answer.director_key)
    try:
        root = base64.b64decode(answer.root, validate=True)
    except (binascii.Error, ValueError) as error:
        raise FormatError("the server's TUF root is not base64") from error
    if sha256_of(root) != root_sha256:
        raise FormatError(
            f"the server shows a TUF root with SHA-256 {sha256_of(root)[:16]}…, the token names {root_sha256[:16]}…: "
            "this is not the server that the token was made for"
        )
    return root


def load_identity(home: Home) -> Identity | None:
    """The device's identity; None where it is not enrolled.

    Raises:
        EnrolmentError: a file of the identity is missing or damaged.
    """
    folder = home.identity
    if not (folder / ENROLMENT_FILE).exists():
        return None
    try:
        record = decode(read_bounded(folder / ENROLMENT_FILE, 64 * 1024), EnrolmentRecord, "the enrolment")
        root = read_bounded(folder / "root.json", ANSWER_MAX_BYTES)
        director = public_key_from_dict(msgspec.json.decode(read_bounded(folder / "director.json", 64 * 1024)))
        password = read_bounded(folder / "password", 1024).decode()
    except (ContractError, OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EnrolmentError(f"the identity in {folder} is damaged: {error}. Enrol again with a new token and --again") from error
    if sha256_of(root) != record.root_sha256:
        raise EnrolmentError(f"{folder / 'root.json'} is not the TUF root that was pinned at enrolment. Enrol again with --again")
    ca_file = folder / "ca.pem" if record.ca_sha256 else None
    return Identity(record=record, password=password, director_key=director, root=root, ca_file=ca_file)
