"""Desired documents: signed by the pinned director, for this device, never older than what was seen."""

from pathlib import Path

import msgspec
import pytest

from contract.codec import encode, utc_now
from contract.messages import DESIRED_PAYLOAD_TYPE, Desired, DesiredSlot
from contract.signing import PrivateKey, generate_key, sign_document
from edge_agent.update.wishes import VerifiedDesired, WishRefusedError, keep_desired, load_desired, verify_desired, wishes_of
from tests.edge_agent.update.examples import wish

DIRECTOR = generate_key()
DOCUMENT = Desired(1, "home", "pi-01", 7, utc_now(), {"main": DesiredSlot(wish(2, 7).model), "idle": DesiredSlot()})


def signed(document: Desired = DOCUMENT, key: PrivateKey = DIRECTOR, kind: str = DESIRED_PAYLOAD_TYPE) -> bytes:
    return sign_document(encode(document), kind, key)


def verify(envelope: bytes, seen: int = 0) -> VerifiedDesired:
    return verify_desired(envelope, DIRECTOR.public, fleet="home", device="pi-01", seen=seen)


def test_a_wish_of_the_director_is_read_per_slot() -> None:
    wishes = wishes_of(verify(signed()).document)
    assert list(wishes) == ["main"]
    assert (wishes["main"].revision, wishes["main"].model.version) == (7, 2)


def test_the_same_revision_may_come_again() -> None:
    assert verify(signed(), seen=7).document.revision == 7


@pytest.mark.parametrize(
    ("envelope", "seen", "words"),
    [
        (signed(key=generate_key()), 0, "no trusted key"),
        (signed(kind="application/vnd.eyelet.command+json"), 0, "expected 'application/vnd.eyelet.desired"),
        (signed(msgspec.structs.replace(DOCUMENT, device="pi-02")), 0, "for home/pi-02, this device is home/pi-01"),
        (signed(msgspec.structs.replace(DOCUMENT, fleet="other")), 0, "for other/pi-01"),
        (signed(), 8, "revision 8 was seen already"),
        (signed(msgspec.structs.replace(DOCUMENT, schema_version=2)), 0, "schema version 2; this program reads up to 1"),
        (b"\x00" * 100, 0, "refused"),
        (b"[" * 10_000, 0, "refused"),
        (b"", 0, "refused"),
        (signed().replace(b"signatures", b"signaturez"), 0, "refused"),
        (b" " * (3 << 20), 0, "at most"),
    ],
)
def test_refused_with_the_reason(envelope: bytes, seen: int, words: str) -> None:
    with pytest.raises(WishRefusedError, match=words):
        verify(envelope, seen)


def test_what_was_kept_is_the_bytes_that_came_and_is_verified_again(tmp_path: Path) -> None:
    path, envelope = tmp_path / "desired.json", signed()
    assert load_desired(path, DIRECTOR.public, fleet="home", device="pi-01") is None
    keep_desired(path, verify(envelope))
    assert path.read_bytes() == envelope
    loaded = load_desired(path, DIRECTOR.public, fleet="home", device="pi-01")
    assert loaded is not None
    assert loaded.document == DOCUMENT
    path.write_bytes(signed(key=generate_key()))
    with pytest.raises(WishRefusedError):
        load_desired(path, DIRECTOR.public, fleet="home", device="pi-01")
