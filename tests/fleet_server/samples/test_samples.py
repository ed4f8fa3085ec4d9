import errno

import msgspec
import pytest

from contract.codec import encode
from contract.commands import CommandRequest
from contract.files import sha256_of
from contract.samples import SAMPLE_MAX_BYTES, FieldSample, SampleView, UploadState, join_sample
from fleet_server.samples.intake import SampleLimits
from fleet_server.samples.listing import drop_old_samples, remove_unused
from fleet_server.samples.sample_files import SampleFiles

LINE = FieldSample(1, "2026-01-01T00:00:00.000Z", "door", 1, "digits", 3, "onnx-float32", "a.png", "red", 0.4, [0.4, 0.6], "low score")


@pytest.fixture
def devices(fleet):
    return {device: {"authorization": header} for device, header in fleet("pi-1", "pi-2").items()}


def ask(client, device="pi-1", kind="upload_samples", **options):
    request = CommandRequest(kind, options=options, devices=(device,))
    answer = client.post("/v1/commands", content=encode(request), headers={"content-type": "application/json"})
    return answer.json()[0]["command_id"]


def line_of(data, **changes):
    fields = {"file": "1.png", "sha256": sha256_of(data), "size_bytes": len(data), **changes}
    return msgspec.structs.replace(LINE, **fields)


def send(client, headers, command, data, **changes):
    line = line_of(data, **changes)
    return client.put(f"/v1/uploads/{command}/{sha256_of(data)}", content=join_sample(line, data), headers=headers)


def listed(client, **query):
    return msgspec.json.decode(client.get("/v1/samples", params=query).content, type=list[SampleView])


def files(floor):
    return [path for path in floor.samples.folder.rglob("*") if path.is_file()]


def test_a_sample_is_stored_with_its_line_and_handed_out_to_operators_only(client, devices):
    command = ask(client)
    answer = send(client, devices["pi-1"], command, b"picture")
    assert msgspec.json.decode(answer.content, type=UploadState) == UploadState(command, 1, 7, 99, (256 << 20) - 7)
    (view,) = listed(client)
    assert (view.device, view.command_id, view.line) == ("pi-1", command, line_of(b"picture"))
    assert client.get(f"/v1/samples/{view.id}/data").content == b"picture"
    for path in ("/v1/samples", f"/v1/samples/{view.id}/data"):
        assert client.get(path, headers=devices["pi-1"]).status_code == 403
    assert client.get(f"/v1/uploads/{command}").status_code == 403, "uploads are for devices"


def test_sent_again_it_is_there_once(client, devices, floor):
    command = ask(client)
    answers = [send(client, devices["pi-1"], command, b"picture").json() for _ in range(3)]
    assert [answer["samples"] for answer in answers] == [1, 1, 1]
    assert len(listed(client)) == len(files(floor)) == 1
    again = ask(client)
    assert send(client, devices["pi-1"], again, b"picture").json()["samples"] == 0, "it is here already"


def test_nothing_is_taken_without_such_a_command_for_this_very_device(client, devices, clock):
    mine, other = ask(client), ask(client, kind="report")
    assert send(client, devices["pi-2"], mine, b"x").status_code == 403
    assert send(client, devices["pi-1"], other, b"x").status_code == 403
    assert send(client, devices["pi-1"], "c-none", b"x").status_code == 404
    client.post(f"/v1/commands/{mine}/cancel")
    assert "cancelled" in send(client, devices["pi-1"], mine, b"x").json()["error"]
    late = ask(client)
    clock.now += 2 * 86400
    assert "expired" in send(client, devices["pi-1"], late, b"x").json()["error"]
    assert client.put(f"/v1/uploads/{late}/{'0' * 64}", content=b"x", headers={"authorization": ""}).status_code == 401
    assert listed(client) == []


def test_never_more_than_the_command_asked_for(client, devices):
    few = ask(client, most=2)
    assert [send(client, devices["pi-1"], few, data).status_code for data in (b"a", b"b", b"c")] == [200, 200, 409]
    small = ask(client, most_bytes=10)
    assert [send(client, devices["pi-1"], small, data).status_code for data in (b"0123456", b"789a", b"xyz")] == [200, 409, 200]
    assert len(listed(client)) == 4


def test_caps_of_device_and_fleet(client, devices, floor):
    object.__setattr__(floor, "sample_limits", SampleLimits(device_bytes=10, fleet_bytes=15))
    one, two = ask(client), ask(client, "pi-2")
    assert send(client, devices["pi-1"], one, b"0123456789").status_code == 200
    full = send(client, devices["pi-1"], one, b"x")
    assert (full.status_code, "device pi-1" in full.json()["error"]) == (507, True)
    full = send(client, devices["pi-2"], two, b"abcdef")
    assert (full.status_code, "fleet" in full.json()["error"]) == (507, True)
    assert send(client, devices["pi-2"], two, b"abcde").status_code == 200
    assert len(files(floor)) == 2


BROKEN = {
    "another digest": join_sample(line_of(b"other"), b"other"),
    "cut short": join_sample(line_of(b"picture"), b"pictur"),
    "a line about others": join_sample(line_of(b"other"), b"picture"),
    "no line": b"picture",
    "a broken line": b"{}\npicture",
    "a line without end": b"x" * (70 * 1024),
    "another kind": join_sample(line_of(b"picture", file="1.exe"), b"picture"),
    "empty": b"",
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_damaged_is_refused_and_leaves_nothing(client, devices, floor, name):
    command = ask(client)
    answer = client.put(f"/v1/uploads/{command}/{sha256_of(b'picture')}", content=BROKEN[name], headers=devices["pi-1"])
    assert answer.status_code == 422, answer.text
    assert listed(client) == files(floor) == []


def test_a_body_over_its_bound_is_refused(client, devices):
    answer = client.put(f"/v1/uploads/{ask(client)}/{'0' * 64}", content=b"x" * (SAMPLE_MAX_BYTES + (70 << 10)), headers=devices["pi-1"])
    assert answer.status_code == 413


def test_a_device_sends_one_sample_at_a_time(client, devices, floor):
    command = ask(client)
    floor.uploading.add("pi-1")
    assert send(client, devices["pi-1"], command, b"picture").status_code == 429
    assert send(client, devices["pi-2"], ask(client, "pi-2"), b"picture").status_code == 200
    floor.uploading.clear()
    assert send(client, devices["pi-1"], command, b"picture").status_code == 200


def test_a_full_disk_is_said_and_leaves_nothing(client, devices, floor, monkeypatch):
    command = ask(client)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("fleet_server.samples.sample_files.os.fsync", full)
    answer = send(client, devices["pi-1"], command, b"picture")
    assert (answer.status_code, "No space left" in answer.json()["error"]) == (507, True)
    monkeypatch.undo()
    assert listed(client) == files(floor) == []
    assert send(client, devices["pi-1"], command, b"picture").status_code == 200


def test_filters(client, devices):
    one, two = ask(client), ask(client, "pi-2")
    send(client, devices["pi-1"], one, b"a", label="red", score=0.9)
    send(client, devices["pi-1"], one, b"b", label="blue", score=0.2, reason="random")
    send(client, devices["pi-2"], two, b"c", label="red", score=0.3, application="gate", model="faces")
    digest = {name: sha256_of(name.encode()) for name in "abc"}
    for query, expected in (
        ({}, "abc"),
        ({"device": "pi-1"}, "ab"),
        ({"label": "red"}, "ac"),
        ({"below_score": 0.5}, "bc"),
        ({"reason": "random"}, "b"),
        ({"application": "gate"}, "c"),
        ({"model": "faces"}, "c"),
        ({"command_id": one}, "ab"),
        ({"limit": 2}, "ab"),
        ({"after": listed(client)[0].id}, "bc"),
    ):
        assert [view.sha256 for view in listed(client, **query)] == [digest[name] for name in expected], query


def test_the_file_goes_with_the_last_row_that_names_it(client, devices, floor):
    for device in ("pi-1", "pi-2"):
        send(client, devices[device], ask(client, device), b"same")
    first, second = listed(client)
    assert len(files(floor)) == 1
    client.delete(f"/v1/samples/{first.id}")
    assert client.get(f"/v1/samples/{second.id}/data").content == b"same"
    client.delete(f"/v1/samples/{second.id}")
    assert files(floor) == listed(client) == []
    assert client.delete(f"/v1/samples/{second.id}").status_code == 404
    assert "sample delete" in [entry["action"] for entry in client.get("/v1/audit").json()]


def test_old_samples_and_files_without_a_row_go(client, devices, floor, clock):
    command = ask(client)
    send(client, devices["pi-1"], command, b"old")
    clock.now += 3600
    send(client, devices["pi-1"], command, b"new")
    with floor.samples.written(b"lost") as temporary:
        floor.samples.keep(temporary, sha256_of(b"lost"))
    (floor.samples.folder / ".sample-left").write_bytes(b"half")
    gone = floor.database.write(lambda connection: drop_old_samples(connection, clock(), 1800))
    assert gone == [sha256_of(b"old")]
    again = SampleFiles(floor.samples.folder)
    floor.database.write(lambda connection: remove_unused(connection, again, again.list_digests()))
    assert [path.name for path in files(floor)] == [sha256_of(b"new")]
