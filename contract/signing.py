"""Ed25519 keys and DSSE envelopes over bytes as received.

Keys and envelopes are those of securesystemslib; DSSE is specified at https://github.com/secure-systems-lab/dsse.
A signed document is kept and forwarded as the bytes that came; it is never decoded and encoded again.
The libraries are loaded with the first key or envelope: a device that is not enrolled yet needs neither, and
one that is starts its worker first.
"""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import msgspec

from contract.codec import decode, encode, shorten
from contract.errors import FormatError, SignatureError, SizeError, StrangerError
from contract.files import read_bounded, write_atomic

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import CryptoSigner, Key

    PublicKey = Key
else:
    PublicKey = Any

ENVELOPE_MAX_BYTES = 2 << 20
KEY_MAX_BYTES = 16 * 1024
_BROKEN = (
    msgspec.DecodeError,
    UnicodeDecodeError,
    RecursionError,
    KeyError,
    TypeError,
    ValueError,
    AttributeError,
)


class _Signature(msgspec.Struct):
    keyid: str
    sig: str


class _Envelope(msgspec.Struct):
    """The types of a DSSE envelope's members, which the library that verifies it takes for granted."""

    payload: str
    payloadType: str  # noqa: N815  (the standard's own name)
    signatures: list[_Signature]


class PublicKeyDocument(msgspec.Struct, frozen=True):
    """A public key as a file that people exchange (`*.pub.json`)."""

    SCHEMA_VERSION: ClassVar[int] = 1

    schema_version: int
    name: str
    keyid: str
    keytype: str
    scheme: str
    keyval: dict[str, str]


class PrivateKey(NamedTuple):
    """An Ed25519 private key with the signer made from it."""

    signer: "CryptoSigner"
    pem_key: "Ed25519PrivateKey"

    @property
    def public(self) -> PublicKey:
        """The public half."""
        return self.signer.public_key

    @property
    def keyid(self) -> str:
        """Identifier of the public key, a SHA-256 over its canonical form."""
        return str(self.signer.public_key.keyid)


def generate_key() -> PrivateKey:
    """A new Ed25519 key."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return _from_pem_key(Ed25519PrivateKey.generate())


def _from_pem_key(pem_key: "Ed25519PrivateKey") -> PrivateKey:
    from securesystemslib.signer import CryptoSigner, SSlibKey

    return PrivateKey(CryptoSigner(pem_key, SSlibKey.from_crypto(pem_key.public_key())), pem_key)


def write_private_key(path: Path, key: PrivateKey, passphrase: str | None) -> None:
    """Write a private key as PKCS 8, encrypted unless `passphrase` is None, readable by its owner alone."""
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

    encryption = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    write_atomic(path, key.pem_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption), mode=0o600)


def read_private_key(path: Path, passphrase: str | None) -> PrivateKey:
    """Read a private key.

    Raises:
        SignatureError: not an Ed25519 key, or the passphrase is missing or wrong.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        pem_key = load_pem_private_key(read_bounded(path, KEY_MAX_BYTES), passphrase.encode() if passphrase else None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SignatureError(f"{path.name} can not be opened: {error}. Is the passphrase right?") from error
    if not isinstance(pem_key, Ed25519PrivateKey):
        raise SignatureError(f"{path.name} holds another kind of key, expected Ed25519")
    return _from_pem_key(pem_key)


def public_key_to_bytes(key: PublicKey, name: str) -> bytes:
    """A public key as the file that people exchange."""
    fields = key.to_dict()
    return encode(PublicKeyDocument(1, name, key.keyid, fields["keytype"], fields["scheme"], fields["keyval"]))


def public_key_from_bytes(data: bytes) -> tuple[str, PublicKey]:
    """Name and key of such a file.

    Raises:
        FormatError: it is none, or its key id does not belong to its key.
    """
    document = decode(data, PublicKeyDocument, "the public key", KEY_MAX_BYTES)
    return document.name, _to_key(document.keyid, {"keytype": document.keytype, "scheme": document.scheme, "keyval": document.keyval})


def public_key_to_dict(key: PublicKey) -> dict[str, Any]:
    """A public key as a mapping for REST bodies: `keyid`, `keytype`, `scheme`, `keyval`."""
    return {"keyid": key.keyid, **key.to_dict()}


def public_key_from_dict(fields: Mapping[str, Any]) -> PublicKey:
    """The reverse of `public_key_to_dict`.

    Raises:
        FormatError: it is not a key.
    """
    rest = dict(fields)
    return _to_key(str(rest.pop("keyid", "")), rest)


def _to_key(keyid: str, fields: dict[str, Any]) -> PublicKey:
    if fields.get("keytype") != "ed25519":
        raise FormatError(f"the public key is of type {str(fields.get('keytype'))[:40]!r}, expected ed25519")
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from securesystemslib.signer import Key, SSlibKey

    try:
        key = Key.from_dict(keyid, json.loads(json.dumps(fields)))
        raw = Ed25519PublicKey.from_public_bytes(bytes.fromhex(fields["keyval"]["public"]))
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"the public key is not valid: {shorten(error)}") from error
    if SSlibKey.from_crypto(raw).keyid != keyid:
        raise FormatError(f"the public key's id {keyid[:16]!r}… does not belong to it; ask for the file again")
    return key


def sign_document(payload: bytes, payload_type: str, key: PrivateKey) -> bytes:
    """A DSSE envelope (JSON) over `payload`."""
    from securesystemslib.dsse import Envelope

    envelope = Envelope(payload=payload, payload_type=payload_type, signatures={})
    envelope.sign(key.signer)
    return encode(envelope.to_dict())


def read_payload(envelope_bytes: bytes, payload_type: str) -> bytes:
    """The payload of an envelope WITHOUT verifying it; for display only."""
    return bytes(_parse_envelope(envelope_bytes, payload_type).payload)


def verify_document(
    envelope_bytes: bytes,
    payload_type: str,
    trusted: Mapping[str, PublicKey],
    *,
    expected: bytes | None = None,
) -> str:
    """Verify an envelope; returns the name of the trusted key that signed it.

    With `expected` the payload must be exactly those bytes.

    Raises:
        SizeError, FormatError: too large, or no envelope of this type.
        StrangerError: no trusted key signed it.
        SignatureError: it was changed after it was signed, or differs from `expected`.
    """
    from securesystemslib.exceptions import Error as SecureSystemsError

    envelope = _parse_envelope(envelope_bytes, payload_type)
    for name, key in trusted.items():
        try:
            envelope.verify([key], 1)
        except SecureSystemsError:
            continue
        if expected is not None and envelope.payload != expected:
            raise SignatureError("the signature belongs to other content: the signed document was exchanged or changed")
        return name
    signers = ", ".join(keyid[:12] + "…" for keyid in sorted(envelope.signatures)) or "nobody"
    known = ", ".join(f"{name} ({key.keyid[:12]}…)" for name, key in trusted.items()) or "none"
    raise StrangerError(f"signed by {signers}, which no trusted key vouches for; trusted here: {known}")


def verify_payload(envelope_bytes: bytes, payload_type: str, trusted: Mapping[str, PublicKey]) -> bytes:
    """Verify an envelope and return its payload; raises as `verify_document`."""
    verify_document(envelope_bytes, payload_type, trusted)
    return read_payload(envelope_bytes, payload_type)


def _parse_envelope(envelope_bytes: bytes, payload_type: str) -> "Envelope":
    if len(envelope_bytes) > ENVELOPE_MAX_BYTES:
        raise SizeError(f"the signed document has {len(envelope_bytes)} bytes, at most {ENVELOPE_MAX_BYTES} are accepted")
    from securesystemslib.dsse import Envelope
    from securesystemslib.exceptions import Error as SecureSystemsError

    try:
        fields = msgspec.json.decode(envelope_bytes, type=dict[str, Any])
        msgspec.convert(fields, _Envelope)
        base64.b64decode(fields["payload"], validate=True)
        envelope = Envelope.from_dict(fields)
    except (*_BROKEN, SecureSystemsError) as error:
        raise FormatError(f"the signed document is no DSSE envelope: {shorten(error)}") from error
    if envelope.payload_type != payload_type:
        raise FormatError(f"the signed document is of type {str(envelope.payload_type)[:80]!r}, expected {payload_type!r}")
    return envelope
