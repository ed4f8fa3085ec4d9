"""Rules of the doors, for any bytes and any JSON at all: refused by the door's own error, or taken and then right."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.codec import decode, encode
from contract.errors import ContractError
from contract.messages import DESIRED_PAYLOAD_TYPE, Desired
from contract.signing import generate_key, sign_document, verify_payload
from edge_agent.settings import Settings, SettingsError, load_settings
from edge_agent.update.journal import Journal, seal, unseal
from edge_agent.update.machine import Slot, Wished, advance
from edge_agent.update.wishes import WishRefusedError, verify_desired, wishes_of
from edge_agent.worker.messages import decode_from_worker, decode_request, decode_to_worker

KEY = generate_key()
QUICKLY = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
SCALARS = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4), max_leaves=12
)
BYTES = st.binary(max_size=400) | VALUES.map(encode)


def is_taken_or_refused(data: bytes, read: Any, refusal: type[Exception]) -> object:
    """What it was read as; None where it was refused, in words."""
    words = "-"
    try:
        return read(data)
    except refusal as error:
        words = str(error).strip()
    assert words
    return None


@given(BYTES)
@QUICKLY
@pytest.mark.parametrize("read", [decode_from_worker, decode_to_worker, decode_request], ids=lambda read: read.__name__)
def test_a_line_is_a_message_or_a_refusal(read: Any, data: bytes) -> None:
    message = is_taken_or_refused(data, read, ContractError)
    assert message is None or read(encode(message)) == message


@given(BYTES)
@QUICKLY
def test_what_was_not_signed_is_never_a_wish(data: bytes) -> None:
    assert is_taken_or_refused(data, lambda data: verify_desired(data, KEY.public, fleet="f", device="d", seen=0), WishRefusedError) is None


FIELDS = ("revision", "slots", "policy", "telemetry", "not_after", "agent_min_version", "issued_at")


@given(st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=4), st.integers(0, 2**70))
@QUICKLY
def test_whatever_the_director_signs_is_refused_or_a_wish_that_the_rules_take(changes: dict[str, Any], seen: int) -> None:
    whole = Desired(schema_version=1, fleet="f", device="d", revision=5, issued_at="2026-01-01T00:00:00Z", slots={})
    data = encode({**msgspec.to_builtins(whole), **changes})
    envelope = sign_document(data, DESIRED_PAYLOAD_TYPE, KEY)
    assert verify_payload(envelope, DESIRED_PAYLOAD_TYPE, {"director": KEY.public}) == data
    verified: Any = is_taken_or_refused(
        envelope, lambda data: verify_desired(data, KEY.public, fleet="f", device="d", seen=seen), WishRefusedError
    )
    if verified is not None:
        assert verified.document.revision >= seen
        for wish in wishes_of(verified.document).values():
            slot, _ = advance(Slot(), Wished(wish))
            assert slot.current is None, "a wish alone changes nothing that runs"


@given(BYTES)
@QUICKLY
def test_settings_are_whole_or_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "config.json").write_bytes(data)
    found = is_taken_or_refused(data, lambda _: load_settings(tmp_path), SettingsError)
    assert found is None or decode(encode(found), Settings, "the settings") == found


@given(st.lists(BYTES, max_size=4))
@QUICKLY
def test_a_journal_is_read_whatever_it_holds(tmp_path: Path, lines: list[bytes]) -> None:
    (tmp_path / "journal.jsonl").write_bytes(b"\n".join(lines))
    known = Journal(tmp_path / "journal.jsonl").read()
    assert known.updates == {}, "no line without its checksum counts"


@given(st.dictionaries(st.text(max_size=5), SCALARS, min_size=1, max_size=3), st.integers(0), st.integers(0, 7))
@QUICKLY
def test_one_bit_of_a_sealed_line_is_noticed(content: dict[str, Any], place: int, bit: int) -> None:
    line = bytearray(seal(encode(content))[:-1])
    assert unseal(bytes(line)) == encode(content)
    line[place % len(line)] ^= 1 << bit
    assert unseal(bytes(line)) is None
