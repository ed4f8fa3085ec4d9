"""Envelopes over bytes as received, keys, claim tokens, and writing all or nothing."""

import base64
import json
import stat

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.acceptance import label_set_digest, minimum_score
from contract.claims import Claim, build_token, parse_token
from contract.codec import decode, encode, to_mapping
from contract.errors import FormatError, SchemaVersionError, SignatureError, SizeError
from contract.files import atomic_writer, write_atomic
from contract.messages import DESIRED_PAYLOAD_TYPE, Desired
from contract.signing import (
    ENVELOPE_MAX_BYTES,
    generate_key,
    public_key_from_bytes,
    public_key_from_dict,
    public_key_to_bytes,
    public_key_to_dict,
    read_private_key,
    sign_document,
    verify_document,
    verify_payload,
    write_private_key,
)

KEY, OTHER = generate_key(), generate_key()
TYPE = DESIRED_PAYLOAD_TYPE
FEW = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))


@given(st.binary(max_size=200))
@FEW
def test_the_payload_comes_back_byte_for_byte(payload):
    envelope = sign_document(payload, TYPE, KEY)
    assert verify_payload(envelope, TYPE, {"director": KEY.public}) == payload
    assert verify_document(envelope, TYPE, {"other": OTHER.public, "director": KEY.public}, expected=payload) == "director"


def test_an_unknown_field_survives_being_forwarded():
    desired = {**to_mapping(Desired(1, "demo", "pi-01", 7, "2026-01-01T00:00:00.000Z", {})), "novelty": [1, 2]}
    document = json.dumps(desired, indent=3).encode()  # spaces and order are the sender's
    envelope = sign_document(document, TYPE, KEY)
    forwarded = bytes(envelope)
    payload = verify_payload(forwarded, TYPE, {"director": KEY.public})
    assert payload == document
    assert decode(payload, Desired, "it").revision == 7


def test_a_changed_envelope_is_never_verified():
    envelope = sign_document(b'{"a": 1}', TYPE, KEY)

    @FEW
    @given(st.integers(0, len(envelope) - 1), st.integers(1, 255))
    def refuse(position, change):
        data = bytearray(envelope)
        data[position] ^= change
        try:
            payload = verify_payload(bytes(data), TYPE, {"director": KEY.public})
        except (FormatError, SignatureError):
            return
        assert payload == b'{"a": 1}'  # a change that means nothing, e.g. of the key id's case

    refuse()


def test_another_key_another_type_and_another_content_are_refused():
    envelope = sign_document(b"{}", TYPE, KEY)
    with pytest.raises(SignatureError, match="director"):
        verify_payload(envelope, TYPE, {"director": OTHER.public})
    with pytest.raises(FormatError, match="expected 'text/x'"):
        verify_payload(envelope, "text/x", {"director": KEY.public})
    with pytest.raises(SignatureError, match="other content"):
        verify_document(envelope, TYPE, {"director": KEY.public}, expected=b"[]")


@given(
    st.binary(max_size=60)
    | st.dictionaries(st.sampled_from(["payload", "payloadType", "signatures"]), st.none() | st.integers()).map(encode)
)
@FEW
def test_nonsense_is_no_envelope(data):
    with pytest.raises(FormatError):
        verify_payload(data, TYPE, {"director": KEY.public})


def test_an_envelope_is_bounded_before_it_is_parsed():
    with pytest.raises(SizeError):
        verify_payload(b"{" * (ENVELOPE_MAX_BYTES + 1), TYPE, {})


def test_keys_pass_as_files_and_as_mappings():
    name, key = public_key_from_bytes(public_key_to_bytes(KEY.public, "director"))
    assert (name, key.keyid) == ("director", KEY.keyid)
    assert public_key_from_dict(public_key_to_dict(KEY.public)).keyid == KEY.keyid


@pytest.mark.parametrize(
    "change", [{"keyid": "0" * 64}, {"keytype": "rsa"}, {"keyval": {}}, {"keyval": {"public": "zz"}}, {"schema_version": 2}]
)
def test_a_broken_public_key_is_refused(change):
    fields = {**json.loads(public_key_to_bytes(KEY.public, "director")), **change}
    with pytest.raises((FormatError, SchemaVersionError)):
        public_key_from_bytes(encode(fields))


def test_a_private_key_is_encrypted_and_needs_its_passphrase(tmp_path):
    path = tmp_path / "key.pem"
    write_private_key(path, KEY, "words")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_private_key(path, "words").keyid == KEY.keyid
    for wrong in ("other", None):
        with pytest.raises(SignatureError, match="passphrase"):
            read_private_key(path, wrong)
    path.write_bytes(b"not a key")
    with pytest.raises(SignatureError):
        read_private_key(path, "words")


def claim():
    return Claim(1, "c1", "http://127.0.0.1:8470", "s" * 43, "0" * 64, "demo", "pi-01", "2026-01-01T00:00:00.000Z")


def test_a_claim_token_is_one_line_and_reads_back():
    token = build_token(claim())
    assert "\n" not in token
    assert parse_token(f"  {token}\n") == claim()


@pytest.mark.parametrize("harm", ["", "eyelet1.", "eyelet2.abc", "hello", "eyelet1.!!!", "eyelet1.e30"])
def test_what_is_no_token_is_said_to_be_none(harm):
    with pytest.raises(FormatError):
        parse_token(harm)


def test_a_token_that_was_cut_short_is_refused():
    token = build_token(claim())
    for length in range(len(token)):
        with pytest.raises(FormatError):
            parse_token(token[:length])
    newer = base64.urlsafe_b64encode(encode({**to_mapping(claim()), "schema_version": 3})).decode().rstrip("=")
    with pytest.raises(SchemaVersionError, match=r"3.*up to 1"):
        parse_token(f"eyelet1.{newer}")


def test_a_failed_write_leaves_the_old_content_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    write_atomic(path, b"old")

    def fail():
        with atomic_writer(path) as file:
            file.write(b"half of the new")
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@given(st.floats(0, 1), st.integers(1, 1000))
@FEW
def test_the_minimum_score_lies_below_the_desks_and_never_below_zero(score, count):
    assert 0 <= minimum_score(score, count) <= score


def test_the_minimum_of_a_small_set_leaves_room_for_chance():
    assert minimum_score(0.97, 64) < 0.95  # at 0.95 one good version in eight would be refused
    assert label_set_digest(["a", "b"]) == label_set_digest(("a", "b")) != label_set_digest(["b", "a"])
