from functools import partial

import pytest

from contract.codec import decode, encode
from contract.commands import COMMAND_PAYLOAD_TYPE, KINDS, Command, CommandRequest, CommandResult
from contract.messages import Hello, PresenceMessage
from contract.signing import verify_payload
from contract.states import Presence
from contract.topics import Channel, Topic
from fleet_server.devices.commands import OPEN_PER_DEVICE_MAX, drop_old_commands, expire_commands, send_to_all
from fleet_server.devices.desired import Director
from fleet_server.link.ingest import take_in
from fleet_server.link.outbox import list_waiting
from fleet_server.store import schema


@pytest.fixture
def take(floor, fleet, clock):
    """Three devices of which none is connected; gives what takes in a message of one of them."""
    fleet("pi-1", "pi-2", "pi-3")

    def send(channel, message, device="pi-1"):
        work = partial(take_in, director=Director("main", floor.keys.director), payload=encode(message), now=clock())
        return floor.database.write(partial(work, topic=Topic("main", device, channel)))

    return send


@pytest.fixture
def hello(take):
    return lambda device="pi-1": take(Channel.HELLO, Hello(1, "b", 1, 0, "s"), device)


def ask(client, kind="report", code=201, **request):
    answer = client.post("/v1/commands", content=encode(CommandRequest(kind, **request)), headers={"content-type": "application/json"})
    assert answer.status_code == code, answer.text
    return answer.json()


def sent(floor):
    """The commands in the outbox, as a device would read them; they are taken out."""
    waiting = [message for message in floor.database.read(list_waiting) if message.channel is Channel.COMMAND]
    floor.database.write(lambda connection: connection.execute(schema.mqtt_outbox.delete()))
    key = {"director": floor.keys.director.public}
    return [(message.device, decode(verify_payload(message.payload, COMMAND_PAYLOAD_TYPE, key), Command, "it")) for message in waiting]


def state_of(client, command):
    return client.get(f"/v1/commands/{command['command_id']}").json()["state"]


def test_a_command_waits_for_its_device_and_is_sent_at_its_hello_signed_by_the_director(client, take, hello, floor):
    (made,) = ask(client, "capture_samples", devices=["pi-1"], options={"for_s": 60, "share": 0.5})
    assert (made["state"], sent(floor)) == ("waiting", [])
    hello("pi-2")
    assert sent(floor) == []
    hello()
    ((device, command),) = sent(floor)
    assert (device, command.device, command.command_id, command.kind) == ("pi-1", "pi-1", made["command_id"], "capture_samples")
    assert command.options == {"for_s": 60.0, "share": 0.5}
    assert state_of(client, made) == "sent"


def test_it_is_sent_again_at_each_hello_until_there_is_a_result(client, take, hello, floor):
    hello()
    (made,) = ask(client, devices=["pi-1"])
    assert len(sent(floor)) == 1
    hello()
    assert len(sent(floor)) == 1
    floor.database.write(partial(send_to_all, now=floor.clock()))
    assert len(sent(floor)) == 1
    result = CommandResult(1, made["command_id"], ok=True, text="done", data={"n": 1}, stream="s", sequence=1)
    assert take(Channel.COMMAND_RESULT, result).upto == 1
    hello()
    assert sent(floor) == []
    assert state_of(client, made) == "done"


def test_the_first_result_counts_and_is_audited_once(client, take, hello):
    (made,) = ask(client, devices=["pi-1"])
    for sequence, text in enumerate(("first", "second"), 1):
        result = CommandResult(1, made["command_id"], ok=True, text=text, stream="s", sequence=sequence)
        assert take(Channel.COMMAND_RESULT, result).upto == sequence
    assert client.get(f"/v1/commands/{made['command_id']}").json()["text"] == "first"
    actions = [entry["action"] for entry in client.get("/v1/audit").json()]
    assert actions.count("command-result") == 1
    assert "command report" in actions


def test_another_device_can_not_answer_for_it(client, take):
    (made,) = ask(client, devices=["pi-1"])
    take(Channel.COMMAND_RESULT, CommandResult(1, made["command_id"], ok=True, text="mine"), "pi-2")
    assert state_of(client, made) == "waiting"


def test_a_command_expires_and_is_not_sent_any_more(client, take, hello, floor, clock):
    (made,) = ask(client, devices=["pi-1"], expires_in_s=60)
    clock.now += 61
    hello()
    assert sent(floor) == []
    assert state_of(client, made) == "expired"
    assert floor.database.write(partial(expire_commands, now=clock())) == 1
    take(Channel.COMMAND_RESULT, CommandResult(1, made["command_id"], ok=False, text="it expired"))
    assert state_of(client, made) == "expired"
    take(Channel.COMMAND_RESULT, CommandResult(1, made["command_id"], ok=True, text="done in time, told late"))
    assert state_of(client, made) == "done", "what a device did counts"


def test_what_ended_long_ago_is_dropped(client, take, floor, clock):
    (old,) = ask(client, devices=["pi-1"])
    client.post(f"/v1/commands/{old['command_id']}/cancel")
    clock.now += 3600
    (new,) = ask(client, devices=["pi-1"])
    assert floor.database.write(partial(drop_old_commands, now=clock(), keep_s=1800)) == 1
    assert [view["command_id"] for view in client.get("/v1/commands").json()] == [new["command_id"]]


def test_a_command_is_cancelled_once_and_not_sent_any_more(client, take, hello, floor):
    (made,) = ask(client, devices=["pi-1"])
    assert client.post(f"/v1/commands/{made['command_id']}/cancel").json()["state"] == "cancelled"
    assert client.post(f"/v1/commands/{made['command_id']}/cancel").status_code == 409
    hello()
    assert sent(floor) == []


def test_one_for_each_device_of_the_fleet_that_is_not_revoked(client, take, floor):
    take(Channel.PRESENCE, PresenceMessage(1, Presence.ONLINE, 1, "b"), "pi-2")
    client.post("/v1/devices/pi-3/revoke")
    made = ask(client, all_devices=True)
    assert [(view["device"], view["state"]) for view in made] == [("pi-1", "waiting"), ("pi-2", "sent")]
    assert [device for device, _ in sent(floor)] == ["pi-2"]
    assert [view["device"] for view in client.get("/v1/commands", params={"command_state": "sent"}).json()] == ["pi-2"]
    assert [view["device"] for view in client.get("/v1/commands", params={"device": "pi-1"}).json()] == ["pi-1"]


REFUSALS = [
    ("reboot", {}, "known are report, benchmark"),
    ("benchmark", {"seconds": 5}, "seconds"),
    ("capture_samples", {"share": 2}, "share"),
    ("upload_samples", {"most": 0}, "most"),
    ("restart_worker", {"slot": "../x"}, "slot"),
]


@pytest.mark.parametrize(("kind", "options", "word"), REFUSALS)
def test_what_no_device_would_understand_is_refused_at_once(client, take, kind, options, word):
    assert word in ask(client, kind, 422, devices=["pi-1"], options=options)["error"]
    assert client.get("/v1/commands").json() == []


def test_whom_it_is_for_must_be_said(client, take):
    ask(client, code=422)
    ask(client, code=422, devices=["pi-1"], all_devices=True)
    assert "pi-9" in ask(client, code=404, devices=["pi-1", "pi-9"])["error"]
    assert client.get("/v1/commands").json() == []


def test_a_device_has_a_bounded_number_of_open_commands(client, take):
    for _ in range(OPEN_PER_DEVICE_MAX):
        ask(client, devices=["pi-1"])
    assert "pi-1" in ask(client, code=409, devices=["pi-1"])["error"]
    ask(client, devices=["pi-2"])


def test_a_device_reads_and_makes_no_commands(client, fleet):
    device = {"authorization": fleet("pi-1")["pi-1"], "content-type": "application/json"}
    assert client.get("/v1/commands", headers=device).status_code == 403
    assert client.post("/v1/commands", content=encode(CommandRequest("report", devices=("pi-1",))), headers=device).status_code == 403


def test_every_kind_can_be_asked_with_its_defaults(client, take):
    for kind in KINDS:
        ask(client, kind, devices=["pi-1"])
