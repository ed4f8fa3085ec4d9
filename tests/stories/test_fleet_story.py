"""Two devices and a server: a version goes out, a bad one is stopped, and kills lose nothing."""

import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from contract.codec import parse_time
from contract.rest import EventView, RolloutView
from contract.states import FINAL_ROLLOUT_STATES, FailureReason, RolloutState, UpdateState
from desktop_app.release.keys import KeyStore
from tests.simulators.packages import make_acceptance, make_frames, make_package
from tests.stories.devices import Asker, ask_image, endpoint_url
from tests.stories.fleet import Fleet
from tests.stories.programs import PASSPHRASE, Programs, assert_refused, wait_for

pytestmark = pytest.mark.story

MODEL = "digits"
DEVICES = ("pi-01", "pi-02")
QUICK = (
    "--policy", "probation_s=1", "--policy", "probation_min_inferences=0", "--telemetry", "window_s=1", "--telemetry", "health_s=1",
)  # fmt: skip
VERSIONS = {1: "good", 2: "bad", 3: "good"}


def picture() -> bytes:
    body = io.BytesIO()
    Image.fromarray(make_frames(1, 0)[0][0]).save(body, "PNG")
    return body.getvalue()


PICTURE = picture()


@pytest.fixture(scope="module")
def fleet(programs: Programs) -> Iterator[Fleet]:
    """A server that vouches for three versions and an acceptance set, and two devices on version 1."""
    programs.studio("new", programs.project)
    programs.studio("keys", "init")
    key = KeyStore(programs.keys, PASSPHRASE).model_key(MODEL)
    (programs.project / "acceptance" / MODEL).mkdir(parents=True)
    make_acceptance(programs.project / "acceptance" / MODEL, model=MODEL)
    fleet = Fleet(programs)
    fleet.start_server()
    for version, kind in VERSIONS.items():
        package = make_package(programs.folder / f"package-{version}", key=key, name=MODEL, version=version, kind=kind)
        programs.studio("publish", package.folder, *fleet.address)
    for device in DEVICES:
        fleet.add_device(device)
    wait_for("both devices online", fleet.all_online, explain=lambda: programs.log(DEVICES[0]))
    first = fleet.cli("rollout", "create", MODEL, 1, *QUICK)
    programs.succeed("eyelet-fleet", "rollout", "watch", first["rollout"], "--every", 0.2, "--timeout", 60, "--data", fleet.data)
    yield fleet
    programs.end_all()


def wait_for_end(fleet: Fleet, rollout: str) -> RolloutView:
    def over() -> RolloutView | None:
        view = fleet.rollout(rollout)
        return view if view.state in FINAL_ROLLOUT_STATES else None

    view: RolloutView = wait_for(f"the end of rollout {rollout}", over, 60, lambda: str(fleet.rollout(rollout)))
    return view


def updates_of(fleet: Fleet) -> list[tuple[str, dict[str, Any]]]:
    """Device and update of each update event."""
    return [(event.device, event.data["update"]) for event in fleet.events() if event.kind == "update"]


def states_of(fleet: Fleet, version: int) -> list[tuple[str, str]]:
    """Device and update state of each event about a version."""
    return [(device, update["state"]) for device, update in updates_of(fleet) if update["target"]["version"] == version]


def test_version_one_runs_everywhere_and_answers(fleet: Fleet) -> None:
    assert {device for device, state in states_of(fleet, 1) if state == UpdateState.DONE.value} == set(DEVICES)
    for home in fleet.homes.values():
        answer = ask_image(endpoint_url(home) or "", PICTURE)
        assert (answer["model_name"], answer["label"]) == (MODEL, "red")


def test_a_claim_token_is_good_once(fleet: Fleet, tmp_path: Path) -> None:
    token = fleet.make_claim("pi-03")
    fleet.programs.succeed("eyelet-agent", "enroll", token, "--home", tmp_path / "first")
    assert_refused(fleet.programs.run("eyelet-agent", "enroll", token, "--home", tmp_path / "second"), "claim")
    fleet.cli("revoke", "pi-03")


def test_a_bad_version_is_refused_before_activation_and_the_rollout_rolled_back(fleet: Fleet) -> None:
    before = fleet.versions()
    with Asker(fleet.homes["pi-01"], PICTURE) as one, Asker(fleet.homes["pi-02"], PICTURE) as two:
        spec = ("--phase", "50:1", "--phase", "100", "--gate", "max_failures=1", "--device", "pi-01", "--device", "pi-02")
        created = fleet.cli("rollout", "create", MODEL, 2, *QUICK, *spec)
        view = wait_for_end(fleet, created["rollout"])
    assert view.state is RolloutState.ROLLED_BACK
    (refused,) = [entry for entry in view.assignments if entry.failed]
    assert refused.reason == FailureReason.ACCEPTANCE_BELOW_MINIMUM.value
    assert "90.0%" in refused.detail
    states = {state for _, state in states_of(fleet, 2)}
    assert UpdateState.SELF_TESTING.value in states
    assert not states & {UpdateState.ACTIVATING.value, UpdateState.PROBATION.value, UpdateState.DONE.value}
    assert {device for device, _ in states_of(fleet, 2)} == {refused.device}, "the other device was never asked"
    for asker, device in ((one, "pi-01"), (two, "pi-02")):
        assert asker.failures == []
        assert set(asker.versions) == {before[device]}
    assert {device: version for device, version in fleet.versions().items() if device in DEVICES} == {
        device: before[device] for device in DEVICES
    }
    watched = fleet.programs.run("eyelet-fleet", "rollout", "watch", created["rollout"], "--data", fleet.data)
    assert_refused(watched, "rolled_back", "max_failures")


def test_the_server_is_killed_and_nothing_is_lost(fleet: Fleet) -> None:
    ports = {name: fleet.server[name] for name in ("url", "mqtt_url")}
    with Asker(fleet.homes["pi-02"], PICTURE) as asker:
        fleet.programs.kill("server")
        away = time.time()
        assert fleet.programs.end("pi-01") == 0
        fleet.start_device("pi-01")
        wait_for("an answer without a server", lambda: ask_if_there(fleet, "pi-01"))
        answered = len(asker.versions)
        wait_for("answers without a server", lambda: len(asker.versions) > answered + 20)
        back = time.time()
        fleet.start_server()
        assert {name: fleet.server[name] for name in ports} == ports
        wait_for("both devices online again", fleet.all_online, 60, lambda: fleet.programs.log("pi-02"))
    assert asker.failures == []

    def meanwhile() -> list[EventView]:
        return [event for event in fleet.events() if event.device == "pi-01" and away < parse_time(event.at).timestamp() < back]

    wait_for("the events of the time without server", meanwhile, 60, lambda: str(fleet.events()[-5:]))
    keys = [(event.device, event.stream, event.sequence) for event in fleet.events()]
    assert len(keys) == len(set(keys))
    wait_for("empty outboxes", lambda: all(waiting_in_outbox(fleet, device) == 0 for device in DEVICES), 60)


def waiting_in_outbox(fleet: Fleet, device: str) -> int | None:
    health = fleet.devices()[device].health
    return health.outbox_depth if health else None


def ask_if_there(fleet: Fleet, device: str) -> dict[str, object] | None:
    url = endpoint_url(fleet.homes[device])
    try:
        return ask_image(url, PICTURE) if url else None
    except Exception:  # noqa: BLE001  (whatever keeps it from answering, the deadline decides)
        return None


def test_an_agent_killed_in_probation_comes_back_on_the_last_known_good(fleet: Fleet) -> None:
    victim = "pi-01"
    before = fleet.versions()[victim]
    offset = (fleet.homes[victim] / "state" / "journal.jsonl").stat().st_size
    created = fleet.cli("rollout", "create", MODEL, 3, *QUICK, "--policy", "probation_s=3", "--device", victim)
    wait_for("probation", lambda: [record for record in fleet.journal(victim, offset) if record["state"] == "probation"])
    fleet.programs.kill(victim)
    wait_for("the worker's end", lambda: not [line for line in fleet.programs.alive() if "edge_agent.worker" in line and victim in line])
    fleet.start_device(victim)
    answer = wait_for("an answer after the kill", lambda: ask_if_there(fleet, victim), explain=lambda: fleet.programs.log(victim))
    assert int(answer["model_version"]) == before != 3
    assert wait_for_end(fleet, created["rollout"]).state is RolloutState.SUCCEEDED
    reasons = [update.get("reason") for device, update in updates_of(fleet) if device == victim]
    assert FailureReason.INTERRUPTED.value in reasons
    assert fleet.versions()[victim] == 3
