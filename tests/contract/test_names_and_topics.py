"""Names, topics and paths: what matches, and what nobody smuggles through."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.errors import InvalidNameError
from contract.names import ID_PATTERN, check_id, is_file_name, is_id, is_sha256, slug
from contract.topics import (
    FROM_DEVICE,
    TO_DEVICE,
    Channel,
    build_topic,
    device_may_publish,
    device_may_read,
    parse_topic,
    qos_of,
    server_filters,
)
from contract.trust import acceptance_target, application_role, application_target, manifest_target, model_role, policy_target, role_paths

IDS = st.from_regex(ID_PATTERN, fullmatch=True).filter(is_id)
BAD_IDS = ["", "-a", "a-", "A", "a_b", "a.b", "a/b", "a b", "+", "#", "a\n", "a" * 64, "é", "..", "a\0"]


@pytest.mark.parametrize("text", BAD_IDS)
def test_an_id_never_holds_a_wildcard_a_slash_or_a_newline(text):
    assert not is_id(text)
    with pytest.raises(InvalidNameError, match="device"):
        check_id(text, "device")
    with pytest.raises(InvalidNameError):
        build_topic("demo", text, Channel.HELLO)
    for build in (model_role, application_role, acceptance_target, policy_target):
        with pytest.raises(InvalidNameError):
            build(text)


@given(st.text(max_size=80))
@settings(max_examples=50)
def test_any_text_has_a_slug_that_is_an_id(text):
    assert is_id(slug(text))


@given(IDS, IDS, st.sampled_from(list(Channel)))
@settings(max_examples=50)
def test_topics_read_back(fleet, device, channel):
    topic = build_topic(fleet, device, channel)
    assert parse_topic(topic) == (fleet, device, channel)
    assert qos_of(channel) == (0 if channel in {Channel.ACK, Channel.HEALTH} else 1)


@given(IDS, IDS, IDS, st.sampled_from(list(Channel)))
@settings(max_examples=50)
def test_a_device_publishes_and_reads_only_its_own(fleet, device, other, channel):
    topic = build_topic(fleet, device, channel)
    assert device_may_publish(fleet, device, topic) == (channel in FROM_DEVICE)
    assert device_may_read(fleet, device, topic) == (channel in TO_DEVICE)
    if other != device:
        assert not device_may_publish(fleet, other, topic)
        assert not device_may_read(fleet, other, topic)
    if other != fleet:
        assert not device_may_publish(other, device, topic)


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "#",
        "eyelet/v1/demo/+/hello",
        "eyelet/v1/demo/pi/hello/more",
        "eyelet/v2/demo/pi/hello",
        "eyelet/v1/demo/pi",
        "eyelet/v1/demo/pi/#",
    ],
)
def test_what_is_no_topic_of_the_contract_is_nobodys(topic):
    with pytest.raises(InvalidNameError):
        parse_topic(topic)
    assert not device_may_publish("demo", "pi", topic)
    assert not device_may_read("demo", "pi", topic)


def test_the_server_reads_every_device_channel_of_its_fleet():
    assert len(server_filters("demo")) == len(FROM_DEVICE)
    assert "eyelet/v1/demo/+/command/result" in server_filters("demo")
    with pytest.raises(InvalidNameError):
        server_filters("+")


@pytest.mark.parametrize("name", ["a.onnx", "sub/a.onnx", "A-b_c.1"])
def test_plain_relative_file_names_pass(name):
    assert is_file_name(name)


@pytest.mark.parametrize("name", ["", "/a", "../a", "a/../b", "./a", ".hidden", "a//b", "a\\b", "C:/a", "a/b/c/d/e", "a\n", "é", "a" * 101])
def test_other_file_names_do_not(name):
    assert not is_file_name(name)


def test_digests():
    assert is_sha256("0" * 64)
    assert not any(map(is_sha256, ["0" * 63, "0" * 65, "A" * 64, "0" * 64 + "\n"]))


def test_a_role_may_sign_the_targets_of_its_own_model_only():
    assert role_paths(model_role("digits")) == ["models/digits/*"]
    assert role_paths(application_role("digits")) == ["applications/digits/*"]
    for target in (manifest_target("digits", 3), acceptance_target("digits"), policy_target("digits")):
        assert target.startswith("models/digits/")
    assert application_target("counting", 2) == "applications/counting/2.json"
    for role in ("root", "targets", "snapshot", "model-", "model-..", "models-digits"):
        with pytest.raises(InvalidNameError):
            role_paths(role)
