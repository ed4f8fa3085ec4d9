"""Every document of the contract: round trip, bounds, schema versions, unknown fields."""

import contextlib
import datetime
import json

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.codec import decode, encode, format_time, parse_time, to_mapping, utc_now
from contract.errors import FormatError, SchemaVersionError, SizeError
from contract.messages import Desired, Event, Hello
from contract.rest import Request, RolloutSpec
from contract.sketches import Histogram
from tests.contract.strategies import ANYTHING, documents, strategy_of

FEW = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
KINDS = tuple(documents())
VERSIONED = [kind for kind in KINDS if hasattr(kind, "SCHEMA_VERSION")]


def name_of(kind):
    return kind.__name__


@pytest.mark.parametrize("kind", KINDS, ids=name_of)
def test_what_is_written_reads_back_equal_and_the_same_content_gives_the_same_bytes(kind):
    @FEW
    @given(strategy_of(kind))
    def round_trip(document):
        data = encode(document)
        again = decode(data, kind, "it")
        assert encode(again) == data
        assert again == document

    round_trip()


@given(st.binary(max_size=40) | ANYTHING.map(lambda value: json.dumps(value).encode()))
def test_nonsense_is_refused_as_a_format_error_and_never_another_way(data):
    for kind in KINDS:
        with contextlib.suppress(FormatError, SchemaVersionError):
            decode(data, kind, kind.__name__)


@pytest.mark.parametrize("kind", VERSIONED, ids=name_of)
def test_a_newer_schema_version_is_refused_with_both_numbers(kind):
    data = json.dumps({"schema_version": kind.SCHEMA_VERSION + 6, "something": "new"}).encode()
    with pytest.raises(SchemaVersionError) as caught:
        decode(data, kind, "the document")
    assert (caught.value.found, caught.value.known) == (kind.SCHEMA_VERSION + 6, kind.SCHEMA_VERSION)
    assert str(kind.SCHEMA_VERSION + 6) in str(caught.value)
    assert f"up to {kind.SCHEMA_VERSION}" in str(caught.value)


def test_every_document_that_travels_alone_has_a_schema_version():
    names = {kind.__name__ for kind in VERSIONED}
    alone = {"Desired", "Reported", "Hello", "Event", "Ack", "Health", "Window", "PresenceMessage", "Command", "CommandResult"}
    assert alone | {"Manifest", "AcceptanceSet", "Application", "Claim", "ModelPolicy", "PublicKeyDocument", "Reference"} <= names


def test_a_document_that_is_too_large_is_refused_before_it_is_parsed():
    with pytest.raises(SizeError, match="101 bytes, at most 100"):
        decode(b"{" + b"x" * 100, Hello, "the hello", 100)  # were it parsed first, it would be a FormatError


@pytest.mark.parametrize("data", [b"[" * 100_000, b'{"a":' * 100_000], ids=["lists", "objects"])
def test_deep_nesting_is_refused(data):
    with pytest.raises(FormatError):
        decode(data, Event, "the event")


def test_readers_of_messages_ignore_unknown_fields_and_requests_refuse_them():
    hello = Hello(1, "boot", 1, 5, "stream")
    assert decode(encode({**to_mapping(hello), "mood": "good"}), Hello, "the hello") == hello
    assert issubclass(RolloutSpec, Request)
    with pytest.raises(FormatError, match="shaer"):
        decode(encode({"name": "a", "model": "m", "version": 1, "shaer": 1}), RolloutSpec, "the rollout")


def test_the_view_of_a_document_does_not_keep_what_it_does_not_know():
    desired = Desired(1, "demo", "pi-01", 1, utc_now(), {})
    data = encode({**to_mapping(desired), "novelty": 1})
    assert encode(decode(data, Desired, "it")) != data  # so signed bytes are forwarded, never encoded again


@given(st.datetimes(datetime.datetime(2000, 1, 2), datetime.datetime(2200, 1, 1), timezones=st.timezones()))  # noqa: DTZ001
@FEW
def test_times_keep_their_moment_to_the_millisecond(moment):
    again = parse_time(format_time(moment))
    assert abs((again - moment).total_seconds()) < 0.001
    assert format_time(again) == format_time(moment)


@pytest.mark.parametrize("text", ["", "yesterday", "2026-11-24", "2026-11-24T06:40:47", "2026-13-01T00:00:00Z"])
def test_a_time_without_a_zone_or_sense_is_refused(text):
    with pytest.raises(FormatError):
        parse_time(text)


@pytest.mark.parametrize("text", [b'{"bounds":[1e999],"counts":[]}', b'{"bounds":[NaN],"counts":[]}'])
def test_infinite_numbers_do_not_pass(text):
    with pytest.raises(FormatError):
        decode(text, Histogram, "the histogram")


def test_encoding_is_compact_and_does_not_depend_on_the_order_of_a_dictionary():
    assert encode({"b": 1, "a": 2}) == encode({"a": 2, "b": 1}) == b'{"a":2,"b":1}'
    assert msgspec.json.decode(encode({"ü": "é"})) == {"ü": "é"}
