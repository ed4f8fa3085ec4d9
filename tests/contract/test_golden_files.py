"""Files that were written once must be read for ever."""

import json

import pytest

from contract.claims import parse_token
from contract.codec import decode, encode, to_mapping
from contract.files import sha256_of_file
from contract.messages import DESIRED_PAYLOAD_TYPE, Desired
from contract.package import opened, write_archive
from contract.signing import public_key_from_bytes, verify_payload
from tests.contract.small_package import FILES
from tests.contract.write_golden import GOLDEN, messages

ARCHIVE_SHA256 = "1843ae3a47ed7ae957375622912f6b7b4f78f30200d3a5f1fc81216448b093ff"
PACKAGE_DIGEST = "2ba55dcfdd57d1d4d41ee7d720597c6eecb30799f60476bd92f4238d525a4b4e"


def key_of(name):
    return dict([public_key_from_bytes((GOLDEN / f"{name}.pub.json").read_bytes())])


def test_the_package_opens_with_its_key_and_is_packed_to_the_same_bytes(tmp_path):
    assert sha256_of_file(GOLDEN / "digits-1.eyelet") == ARCHIVE_SHA256
    with opened(GOLDEN / "digits-1.eyelet", key_of("model-digits"), tmp_path) as package:
        assert (package.manifest.name, package.manifest.version, package.digest) == ("digits", 1, PACKAGE_DIGEST)
        assert {name: package.path_of(name).read_bytes() for name in FILES} == FILES
        assert sha256_of_file(write_archive(package.folder, tmp_path / "again.eyelet")) == ARCHIVE_SHA256


@pytest.mark.parametrize("kind", sorted(messages()))
def test_each_message_reads_as_it_was_meant(kind):
    data = (GOLDEN / f"{kind}.json").read_bytes()
    expected = messages()[kind]
    assert decode(data, type(expected), kind) == expected
    assert set(json.loads(data)) <= set(to_mapping(expected)), "a field was renamed"
    assert encode(expected) + b"\n" == data, "what is written has changed; a change of meaning needs a new schema version"


def test_the_desired_envelope_verifies():
    envelope = (GOLDEN / "desired.dsse.json").read_bytes()
    payload = verify_payload(envelope, DESIRED_PAYLOAD_TYPE, key_of("director"))
    assert decode(payload, Desired, "it") == messages()["desired"]


def test_the_claim_token_reads():
    claim = parse_token((GOLDEN / "claim.token").read_text())
    assert (claim.device, claim.fleet, claim.root_sha256) == ("pi-01", "demo", "cd" * 32)
