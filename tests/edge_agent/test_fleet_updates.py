"""Updates of a real agent process by a simulated fleet: over a real broker, TUF and HTTP."""

import datetime
import io
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
import urllib3
from PIL import Image

from contract.application import Application, Sink, Source
from contract.manifest import FileEntry
from contract.messages import DesiredModel, DesiredSlot, UpdateEvent, UpdatePolicy
from contract.signing import PrivateKey, generate_key
from contract.states import FailureReason, Presence, UpdateState
from edge_agent.enrolment import enrol
from edge_agent.home import make_home
from tests.simulators.agents import AgentProcess
from tests.simulators.fleet import QUICK, FleetSimulator
from tests.simulators.packages import make_acceptance, make_frames, make_package
from tests.simulators.tuf_folder import in_days
from tests.simulators.waiting import wait_until

DEVICE = "pi-01"
S = UpdateState
ALL_STATES = [state for state in S if state not in {S.SHADOWING, S.ROLLING_BACK, S.FAILED, S.ROLLED_BACK}]


def png() -> bytes:
    body = io.BytesIO()
    Image.fromarray(make_frames(1, 0)[0][0]).save(body, "PNG")
    return body.getvalue()


PNG = png()


class Site(NamedTuple):
    """A fleet and one of its devices, which runs a committed version."""

    fleet: FleetSimulator
    agent: AgentProcess
    folder: Path
    key: PrivateKey

    def publish(self, kind: str = "good") -> int:
        """Publish another version; returns its number."""
        version = 1 + max((number for _, number in self.fleet.models), default=0)
        self.fleet.publish(make_package(self.folder / str(version), key=self.key, version=version, kind=kind))
        return version

    def update(self, version: int, **wish: Any) -> UpdateEvent:
        """Wish for a version and wait for the end."""
        return self.fleet.wait_for_final(self.fleet.wish(DEVICE, "digits", version, **wish))

    def states(self, revision: int) -> list[UpdateState]:
        return [update.state for update in self.fleet.updates(revision)]

    def answers(self) -> str:
        """The version that answers now."""
        return str(self.agent.answers(PNG)["model_version"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    with FleetSimulator(folder / "fleet") as fleet:
        enrol(make_home(folder / "home"), fleet.make_claim(DEVICE), hardware_class="test", agent_version="0.1.0")
        with AgentProcess(folder / "home") as agent:
            site = Site(fleet, agent, folder, generate_key())
            assert site.update(site.publish()).state is S.DONE
            yield site


class Asker(threading.Thread):
    """Asks the endpoint again and again; `failures` are answers that did not come."""

    def __init__(self, site: Site) -> None:
        super().__init__(daemon=True)
        self.site = site
        self.versions: list[str] = []
        self.failures: list[str] = []
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.wait(0.005):
            self.ask()

    def ask(self) -> None:
        try:
            self.versions.append(self.site.answers())
        except (urllib3.exceptions.HTTPError, OSError, AssertionError) as error:
            self.failures.append(repr(error))

    def __enter__(self) -> "Asker":  # noqa: PYI034  (Python 3.10 has no Self)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.join(5)


def test_a_version_goes_out_and_inference_answers_in_every_state(site: Site) -> None:
    before, version, fleet = site.answers(), site.publish(), site.fleet
    with Asker(site) as asker:
        final = site.update(version, rollout="r1", arm="treatment")
        wait_until(lambda: str(version) in asker.versions[-3:])
    assert (final.state, final.rollout, final.arm) == (S.DONE, "r1", "treatment")
    assert site.states(final.revision) == ALL_STATES
    assert asker.failures == []
    assert set(asker.versions) == {before, str(version)}, "while two workers accept, either may answer; nothing else does"
    wait_until(lambda: any(window.rollout == "r1" and window.target.version == version for window in fleet.windows.values()))
    wait_until(lambda: reported_version(fleet) == version)
    reported = fleet.reported[DEVICE].slots["main"]
    assert reported.current == reported.last_known_good
    assert [measured.chosen for measured in reported.measured] == [True]


def reported_version(fleet: FleetSimulator) -> int | None:
    good = fleet.reported[DEVICE].slots["main"].last_known_good
    return good.version if good else None


@pytest.mark.once
def test_a_version_that_is_bad_is_refused_before_activation(site: Site) -> None:
    before, version, fleet = site.answers(), site.publish("bad"), site.fleet
    folder = site.folder / "acceptance"
    folder.mkdir()
    fleet.publish_acceptance(*make_acceptance(folder))
    with Asker(site) as asker:
        final = site.update(version)
    assert (final.state, final.reason) == (S.FAILED, FailureReason.ACCEPTANCE_BELOW_MINIMUM)
    assert "at least 90.0%" in final.detail
    assert S.ACTIVATING not in site.states(final.revision)
    assert asker.failures == []
    assert set(asker.versions) == {before}
    assert site.update(version).reason is FailureReason.QUARANTINED
    wait_until(lambda: fleet.models["digits", version].sha256 in fleet.reported[DEVICE].quarantine)


def test_an_application_goes_out_like_a_model_and_one_that_can_not_run_here_is_rolled_back(site: Site) -> None:
    version, fleet = int(site.answers()), site.fleet
    frames = site.folder / "frames"
    frames.mkdir()
    (frames / "0.png").write_bytes(PNG)
    source = Source("folder", {"path": str(frames), "per_second": 20, "repeat": True})
    application = Application(1, "watch", 1, "digits", source, (Sink("jsonl", {"path": "seen.jsonl"}),))
    fleet.publish_application(application)
    fleet.publish_application(msgspec.structs.replace(application, version=2, source=Source("folder", {"rate": 5})))
    policy = UpdatePolicy(probation_s=0.5, probation_min_inferences=5)
    assert site.update(version, application=("watch", 1), policy=policy).state is S.DONE
    wait_until(lambda: any(window.application == "watch" for window in fleet.windows.values()))
    wait_until((site.agent.home / "seen.jsonl").exists)
    final = site.update(version, application=("watch", 2), policy=policy)
    assert (final.state, final.reason) == (S.ROLLED_BACK, FailureReason.INCOMPATIBLE)
    assert "unknown field `rate`" in final.detail
    wait_until(lambda: fleet.reported[DEVICE].slots["main"].application_version == 1)
    assert site.update(version).state is S.DONE, "without an application again"


def test_a_version_that_is_slow_is_rolled_back_in_probation(site: Site) -> None:
    before, version = site.answers(), site.publish("slow")
    policy = UpdatePolicy(probation_s=20.0, probation_min_inferences=10, latency_factor=2.0, latency_floor_ms=3.0)
    with Asker(site) as asker:
        wait_until(lambda: len(asker.versions) > 60)
        final = site.update(version, policy=policy)
        wait_until(lambda: asker.versions[-1] == before)
    assert (final.state, final.reason) == (S.ROLLED_BACK, FailureReason.PROBATION_LATENCY)
    assert "the version before" in final.detail
    assert asker.failures == []
    assert str(version) in asker.versions


@pytest.mark.once
def test_a_version_that_kills_its_process_ends_only_the_self_test(site: Site) -> None:
    before = site.answers()
    final = site.update(site.publish("crash"))
    assert (final.state, final.reason) == (S.FAILED, FailureReason.MODEL_CRASHED)
    assert site.answers() == before


@pytest.mark.once
def test_without_inferences_probation_waits_then_fails_without_quarantine(site: Site) -> None:
    version = site.publish()
    final = site.update(version, policy=UpdatePolicy(probation_s=0.5, probation_min_inferences=5))
    assert (final.state, final.reason) == (S.ROLLED_BACK, FailureReason.PROBATION_NO_INFERENCES)
    assert site.fleet.models["digits", version].sha256 not in site.fleet.reported[DEVICE].quarantine


@pytest.mark.once
def test_wishing_the_version_before_while_in_probation_rolls_back_at_once(site: Site) -> None:
    before, fleet = site.answers(), site.fleet
    revision = fleet.wish(DEVICE, "digits", site.publish(), policy=UpdatePolicy(probation_s=60.0))
    wait_until(lambda: S.PROBATION in site.states(revision))
    back = fleet.wish(DEVICE, "digits", int(before))
    final = fleet.wait_for_final(revision)
    assert (final.state, final.reason) == (S.ROLLED_BACK, FailureReason.SUPERSEDED)
    assert fleet.wait_for_final(back).state is S.DONE
    assert site.answers() == before


def test_what_nobody_vouches_for_is_refused_with_the_reason(site: Site) -> None:
    """A stolen server can wish for anything; only what its owner signed, at or above the least version, is taken."""
    version, fleet = site.publish(), site.fleet
    final = site.update(version, manifest=FileEntry("f" * 64, 10))
    assert (final.state, final.reason) == (S.FAILED, FailureReason.NOT_TRUSTED)
    assert "its owner signed" in final.detail
    final = site.update(7777, manifest=FileEntry("f" * 64, 10))
    assert (final.reason, final.detail) == (
        FailureReason.NOT_TRUSTED,
        "nobody vouches for digits 7777: it was withdrawn, or never published",
    )
    fleet.set_min_version("digits", version + 1)
    assert site.update(version).reason is FailureReason.WITHDRAWN
    fleet.set_min_version("digits", 1)
    assert site.update(version).reason is FailureReason.WITHDRAWN, "the device remembers the highest"
    assert site.update(site.publish()).state is S.DONE, "what runs must not lie below the least version for the tests that follow"


@pytest.mark.once
def test_a_stale_repository_is_refused(site: Site) -> None:
    version = site.publish()
    site.fleet.tuf.release(expires=in_days(-1))
    final = site.update(version)
    assert (final.state, final.reason) == (S.FAILED, FailureReason.NOT_TRUSTED)
    assert "timestamp.json is expired" in final.detail
    site.fleet.tuf.release()
    assert site.update(version).state is S.DONE


@pytest.mark.once
def test_a_repository_that_is_rolled_back_is_refused(site: Site) -> None:
    tuf = site.fleet.tuf
    old = (tuf.metadata / "timestamp.json").read_bytes()
    assert site.update(site.publish()).state is S.DONE
    version = site.publish()
    (tuf.metadata / "timestamp.json").write_bytes(old)
    final = site.update(version)
    assert final.reason is FailureReason.NOT_TRUSTED
    assert "timestamp" in final.detail
    tuf.release()


@pytest.mark.once
def test_a_role_signed_by_another_key_is_refused(site: Site) -> None:
    version, tuf = site.publish(), site.fleet.tuf
    tuf.sign_role("model-digits", tuf.online_key)
    tuf.release()
    final = site.update(version)
    assert final.reason is FailureReason.NOT_TRUSTED
    assert "model-digits" in final.detail
    tuf.sign_role("model-digits", tuf.role_keys["model-digits"])
    tuf.release()


@pytest.mark.once
def test_an_artifact_that_is_missing_or_changed_ends_the_update(site: Site) -> None:
    version, http = site.publish("slow"), site.fleet.http
    (reference,) = {path.name for path in http.artifacts.iterdir()} & {digests(site, version)["golden.npz"]}
    data = (http.artifacts / reference).read_bytes()
    (site.agent.home / "objects" / reference).unlink(missing_ok=True)
    (http.artifacts / reference).unlink()
    final = site.update(version)
    assert (final.state, final.reason) == (S.FAILED, FailureReason.DOWNLOAD)
    assert "404" in final.detail
    (http.artifacts / reference).write_bytes(data)
    http.wrong_content = {reference}
    assert site.update(version).reason is FailureReason.NOT_TRUSTED
    http.wrong_content = set()


def digests(site: Site, version: int) -> dict[str, str]:
    from contract.package import read_manifest

    manifest = read_manifest((site.folder / str(version) / "manifest.json").read_bytes())
    return {name: entry.sha256 for name, entry in manifest.files.items()}


def test_a_wish_by_another_director_is_refused_and_told(site: Site) -> None:
    before, version, fleet = site.answers(), site.publish(), site.fleet
    honest, fleet.director = fleet.director, generate_key()
    fleet.send_desired(DEVICE, {"main": DesiredSlot(DesiredModel("digits", version, fleet.models["digits", version]))}, policy=QUICK)
    wait_until(lambda: any("no trusted key" in event.text for event in fleet.events.values()))
    fleet.director = honest
    assert site.answers() == before


def has_come_to(agent: AgentProcess, revision: int, state: str) -> bool:
    return any((line["state"], line["revision"]) == (state, revision) for line in agent.journal())


def test_the_server_goes_down_and_up_and_hears_each_event_once(site: Site) -> None:
    version, fleet, agent = site.publish(), site.fleet, site.agent
    fleet.acknowledging = False
    revision = fleet.wish(DEVICE, "digits", version)
    wait_until(lambda: has_come_to(agent, revision, "activating"))
    fleet.take_down()
    wait_until(lambda: has_come_to(agent, revision, "done"))
    wait_until(lambda: site.answers() == str(version))
    fleet.acknowledging = True
    fleet.bring_up()
    assert fleet.wait_for_final(revision).state is S.DONE
    assert site.states(revision) == ALL_STATES
    wait_until(lambda: fleet.health[DEVICE].outbox_depth == 0)
    stream = fleet.hellos[0].stream
    numbers = sorted(sequence for known, sequence in [*fleet.events, *fleet.windows] if known == stream)
    assert numbers == list(range(1, len(numbers) + 1))


def test_presence_is_online_then_offline_by_will_or_farewell(site: Site, tmp_path: Path) -> None:
    fleet, device = site.fleet, "pi-02"
    enrol(make_home(tmp_path / "home"), fleet.make_claim(device), hardware_class="test", agent_version="0.1.0")
    with AgentProcess(tmp_path / "home") as agent:
        wait_until(lambda: device in fleet.presence)
        first = fleet.presence[device]
        assert first.presence is Presence.ONLINE
        agent.kill()
        wait_until(lambda: fleet.presence[device].presence is Presence.OFFLINE)
        assert fleet.presence[device].session == first.session
        agent.start()
        wait_until(lambda: fleet.presence[device].presence is Presence.ONLINE)
        assert fleet.presence[device].session > first.session
        assert agent.stop() == 0
        wait_until(lambda: fleet.presence[device].presence is Presence.OFFLINE)


@pytest.mark.once
def test_an_update_waits_for_its_window_in_words_and_a_newer_wish_need_not(site: Site) -> None:
    before, waiting, newer = site.answers(), site.publish(), site.publish()
    opens = datetime.datetime.now(tz=datetime.timezone.utc) + datetime.timedelta(hours=12)
    policy = msgspec.structs.replace(QUICK, activation_windows=(f"{opens:%H:%M}-{opens + datetime.timedelta(hours=1):%H:%M}",))
    revision = site.fleet.wish(DEVICE, "digits", waiting, policy=policy)

    def words() -> str:
        update = site.fleet.reported[DEVICE].slots["main"].update
        return f"{update.revision} {update.state.value} {update.detail}" if update is not None else ""

    said = f"{revision} self_testing waits for its maintenance window, opens {opens:%Y-%m-%d %H:%M} UTC"
    wait_until(lambda: words() == said)
    assert site.answers() == before
    assert site.update(newer).state is S.DONE
    assert site.fleet.updates(revision)[-1].reason is FailureReason.SUPERSEDED
