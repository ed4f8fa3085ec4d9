"""Steps 5 to 8: three devices, an A/B rollout, bad versions that are stopped, kills that are survived."""

import json
import shutil
import time
from pathlib import Path
from typing import Any

from contract.rest import RolloutView
from contract.states import FINAL_ROLLOUT_STATES, FailureReason, Presence, RolloutState, UpdateState
from scripts.demo.desk_steps import convert, package, start_server, train
from scripts.demo.prober import Prober, ask, read_endpoint
from scripts.demo.programs import StepError
from scripts.demo.state import APPLICATION, DEVICES, MODEL, Demo

PER_SECOND = 5
PROBATION_S = 6
SAY_EVERY_S = 5
AWAY_S = 12
LEAST_PREDICTIONS = 20
POLICY = (
    "--policy", f"probation_s={PROBATION_S}", "--policy", "probation_min_inferences=15",
    "--policy", "latency_factor=4", "--policy", "latency_floor_ms=1.5",
    "--telemetry", "window_s=2", "--telemetry", "health_s=2",
)  # fmt: skip


def start_fleet(demo: Demo) -> None:
    """Step 5: three agents as real processes, enrolled once, with an application that the fleet delivers."""
    demo.console.step(5, "Three devices enrol and wait for work")
    document = demo.folder / "read-digits.json"
    document.write_text(json.dumps({
        "schema_version": 1,
        "name": APPLICATION,
        "version": 1,
        "model": MODEL,
        "source": {"kind": "folder", "options": {"path": "samples", "per_second": PER_SECOND, "repeat": True}},
        "rules": [{"label": "7", "minimum_score": 0.9, "count": 3, "within_s": 5.0}],
        "sinks": [{"kind": "jsonl", "options": {"path": "predictions.jsonl"}}],
    }, indent=2))  # fmt: skip
    demo.studio("application", "publish", document, *demo.publishing)
    for device in DEVICES:
        token = demo.studio("claim", "--device", device, *demo.publishing)["token"]
        demo.programs.run("eyelet-agent", "enroll", token, "--home", demo.home(device))
        copy_test_images(demo, demo.home(device))
        start_agent(demo, device)
    demo.wait_for("three devices online", lambda: all_online(demo), 40)
    again = demo.studio("claim", "--device", DEVICES[0], *demo.publishing)
    demo.results["spare claim"] = again["token"][:20]
    demo.hold("three devices are online", True, f"{', '.join(DEVICES)}, each with credentials of its own, seen over MQTT")


def copy_test_images(demo: Demo, home: Path) -> None:
    """A device's camera: the pictures of the test split, replayed from a folder."""
    version = json.loads((demo.project / "versions" / "1.json").read_text())
    samples = home / "samples"
    samples.mkdir(parents=True, exist_ok=True)
    for sample in version["samples"]:
        if sample["split"] == "test":
            digest = sample["sha256"]
            shutil.copy(demo.project / "blobs" / digest[:2] / digest, samples / f"{digest[:12]}.png")


def start_agent(demo: Demo, device: str) -> None:
    """Start one agent as a real process. A desk that is hot from training is no reason to wait."""
    (demo.home(device) / "config.json").write_text('{"update_max_temperature_c": 150}')
    demo.programs.start(device, "eyelet-agent", "run", "--home", demo.home(device), "--http-port", 0)


def all_online(demo: Demo) -> bool:
    """Whether every device holds a session."""
    known = demo.devices()
    return all(device in known and known[device].presence is Presence.ONLINE for device in DEVICES)


def create_rollout(demo: Demo, version: int, *options: object) -> str:
    """Create and start a rollout; returns its id."""
    view = demo.fleet("rollout", "create", MODEL, version, "--application", f"{APPLICATION}:1", *POLICY, *options)
    return str(view["rollout"])


def watch(demo: Demo, rollout: str, title: str, timeout_s: float = 120) -> RolloutView:
    """Follow a rollout to its end, saying what each device does as it is reported."""
    said: set[str] = set()
    deadline = time.monotonic() + timeout_s
    with demo.console.working(title) as work:
        while True:
            view = demo.rollout(rollout)
            settled = sum(entry.settled for entry in view.assignments)
            work.of(
                settled,
                len(view.assignments),
                ", ".join(f"{entry.device} {entry.state.value if entry.state else '…'}" for entry in view.assignments),
            )
            for line in (describe_assignment(entry) for entry in view.assignments if entry.settled):
                if line not in said:
                    said.add(line)
                    demo.console.say(line)
            if view.state in FINAL_ROLLOUT_STATES or view.state is RolloutState.PAUSED:
                return view
            if time.monotonic() > deadline:
                raise StepError(f"rollout {rollout} did not end within {timeout_s:.0f} s: {view.state.value}, {view.state_reason}")
            time.sleep(0.3)


def describe_assignment(entry: Any) -> str:  # noqa: ANN401
    """How a device ended, in words."""
    how = entry.state.value.replace("_", " ") if entry.state else "unreachable"
    by = f", called back by the {entry.rolled_back_by}" if entry.rolled_back_by and entry.rolled_back_by != "device" else ""
    why = ": ".join(text for text in (entry.reason, entry.detail) if text)
    return f"{entry.device} ({entry.arm}): {how}{by}{f' – {why}' if why else ''}"


def roll_out_and_compare(demo: Demo) -> None:
    """Step 6: version 1 to all, then version 2 beside it as an A/B rollout."""
    demo.console.step(6, "Version 1 goes to all, then version 2 is compared with it")
    first = watch(demo, create_rollout(demo, 1, "--name", "first"), "version 1")
    demo.hold("version 1 runs on all three", first.state is RolloutState.SUCCEEDED, first.state_reason)
    images = [path.read_bytes() for path in sorted((demo.home(DEVICES[0]) / "samples").iterdir(), reverse=True)]
    demo.prober = Prober({device: demo.home(device) for device in DEVICES}, images)
    demo.prober.start()
    run = train(demo, "2", "--seed", 2, title="training version 2 with another seed")
    convert(demo, run, "2")
    package(demo, run)
    rollout = create_rollout(
        demo,
        2,
        "--name",
        "compare",
        "--control",
        1,
        "--weights",
        "1:2",
        "--phase",
        "100:12",
        "--gate",
        "minimum_inferences=60",
        "--gate",
        "latency_factor=4",
        "--gate",
        "latency_floor_ms=10",
    )
    demo.results["comparison id"] = rollout
    follow_arms(demo, rollout)
    view = watch(demo, rollout, "comparing")
    demo.results["comparison"] = view
    show_arms(demo, view)
    if view.verdict is None:
        raise StepError("the comparison ended without a verdict")
    demo.console.say(f"verdict: {view.verdict.text}")
    demo.hold("the A/B rollout ends well", view.state is RolloutState.SUCCEEDED, view.state_reason)
    honest = view.verdict.verdict.value == "inconclusive"
    demo.hold("the verdict promises no more than three devices can show", honest, view.verdict.verdict.value)
    sizes = sorted(len(arm.devices) for arm in view.arms)
    demo.hold("control has 1 device, treatment 2", sizes == [1, 2], " and ".join(str(size) for size in sizes))


def follow_arms(demo: Demo, rollout: str) -> None:
    """Say, as it arrives, what each arm has seen."""
    last = 0.0
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        view = demo.rollout(rollout)
        if view.state is not RolloutState.RUNNING:
            return
        if time.monotonic() - last > SAY_EVERY_S:
            last = time.monotonic()
            known = demo.devices()
            presence = ", ".join(f"{name} {known[name].presence.value}" for name in DEVICES)
            arms = "; ".join(
                f"{arm.arm} v{arm.version}: {arm.inferences} inferences, p95 {arm.latency_p95_ms or 0:.2f} ms" for arm in view.arms
            )
            states = ", ".join(f"{entry.device} {entry.state.value if entry.state else 'asked'}" for entry in view.assignments)
            demo.console.say(f"{presence} | {states} | {arms}")
        time.sleep(0.5)


def show_arms(demo: Demo, view: RolloutView) -> None:
    """What the arms did, as a table."""
    rows = []
    for arm in view.arms:
        classes = " ".join(f"{name}:{count}" for name, count in sorted(arm.class_counts.items()))
        rows.append([
            f"{arm.arm} (v{arm.version})", str(len(arm.devices)), str(arm.inferences), str(arm.errors), f"{arm.latency_p50_ms or 0:.2f}",
            f"{arm.latency_p95_ms or 0:.2f}", f"{arm.mean_confidence or 0:.3f}", classes,
        ])  # fmt: skip
    demo.console.table(
        "per arm, from the windows that came over MQTT",
        ["arm", "devices", "inferences", "errors", "p50 ms", "p95 ms", "confidence", "classes"],
        rows,
    )
    rows = [[gate.gate, gate.verdict.value, gate.reason] for gate in view.gates]
    demo.console.table("gates", ["gate", "verdict", "reason"], rows, numbers=False)


def stop_bad_versions(demo: Demo) -> None:
    """Step 7: a version that knows nothing is refused by the devices; one that is slow goes back by itself."""
    demo.console.step(7, "Two bad versions are stopped")
    before = running_versions(demo)
    run = train(demo, "3", "--seed", 3, "--label-permutation-seed", 5, epochs=4, title="training version 3 on exchanged labels")
    convert(demo, run, "3", targets=("onnx-float32", "litert-float32"))
    expect_refusal(demo, run)
    package(demo, run, "--override-gate", "hurry: the customer waits")
    demo.console.say("the studio refuses version 3; it is published all the same, with the reason kept in its lineage")
    view = watch(demo, create_rollout(demo, 3, "--name", "bad", "--phase", "34:2", "--phase", "100:2"), "version 3")
    refused = [entry for entry in view.assignments if entry.failed]
    reasons = {entry.reason for entry in refused}
    demo.hold(
        "the device refuses version 3 before activation",
        reasons == {FailureReason.ACCEPTANCE_BELOW_MINIMUM.value},
        "; ".join(f"{e.device}: {e.detail}" for e in refused),
    )
    events = demo.events()
    activated = {version: [e for e in events if is_update(e, version, UpdateState.ACTIVATING)] for version in (2, 3)}
    demo.hold("no device activated it", bool(activated[2]) and not activated[3], f"rollout {view.state.value}: {view.state_reason}")
    demo.hold(
        "the rollout stopped after the first failures", len(refused) < len(DEVICES), f"{len(refused)} of {len(DEVICES)} devices asked it to"
    )
    demo.hold("what ran before still runs", running_versions(demo) == before, describe_versions(before))
    stop_slow_version(demo, before)


def expect_refusal(demo: Demo, run: str) -> None:
    """The studio's own gate refuses the bad version first."""
    try:
        demo.studio("package", run, "--model", MODEL)
    except StepError as error:
        demo.hold("the studio's gate refuses version 3", "acceptance" in str(error), str(error).split("Error:")[-1].strip().splitlines()[0])
        return
    raise StepError("the studio packaged a version that is below the acceptance minimum without being told to override the gate")


def stop_slow_version(demo: Demo, before: dict[str, int]) -> None:
    """Version 4 passes the self-test and fails in probation."""
    run = train(demo, "4", "--seed", 1, "--option", "views=49", epochs=5, title="training version 4, which averages 49 shifted views")
    convert(demo, run, "4", targets=("onnx-float32", "litert-float32"))
    package(demo, run)
    view = watch(demo, create_rollout(demo, 4, "--name", "slow", "--stagger", 2, "--gate", "max_failures=1"), "version 4")
    demo.results["slow"] = view
    by_itself = [entry for entry in view.assignments if entry.reason == FailureReason.PROBATION_LATENCY.value]
    called_back = [entry for entry in view.assignments if entry.rolled_back_by == "rollout"]
    demo.hold(
        "a device goes back by itself in probation",
        bool(by_itself),
        f"{by_itself[0].device}: {by_itself[0].detail}" if by_itself else "none did",
    )
    demo.hold(
        "the rollout rolls the others back",
        view.state is RolloutState.ROLLED_BACK and bool(called_back),
        ", ".join(e.device for e in called_back),
    )
    demo.wait_for("the versions from before", lambda: running_versions(demo) == before, 30)
    prober = demo.prober
    demo.hold(
        "inference never stopped answering",
        not prober.failures,
        f"{sum(prober.answered.values())} requests on three devices since version 1, {len(prober.failures)} failed"
        + "".join(f"; {failure}" for failure in prober.failures[:2]),
    )


def is_update(event: Any, version: int, state: UpdateState) -> bool:  # noqa: ANN401
    """Whether an event reports this state of this version."""
    update = event.data.get("update", {})
    return bool(update.get("state") == state.value and update.get("target", {}).get("version") == version)


def running_versions(demo: Demo) -> dict[str, int]:
    """Version that each device reports to run."""
    found = {}
    for name, view in demo.devices().items():
        slot = view.reported.slots.get("main") if view.reported else None
        found[name] = slot.current.version if slot and slot.current else 0
    return found


def describe_versions(versions: dict[str, int]) -> str:
    """`pi-01 v1, …`."""
    return ", ".join(f"{name} v{version}" for name, version in sorted(versions.items()))


def survive_kills(demo: Demo) -> None:
    """Step 8: a kill between two records of the journal; a server that goes away and comes back."""
    demo.console.step(8, "An agent is killed in the middle of an update, and the server goes away")
    kill_in_update(demo)
    server_away(demo)


def kill_in_update(demo: Demo) -> None:
    """SIGKILL between two records of an agent's journal; it comes back on the last known good version."""
    before = running_versions(demo)
    victim = next(name for name, version in before.items() if version == 1)
    demo.prober.excused.add(victim)
    offset = (demo.home(victim) / "state" / "journal.jsonl").stat().st_size
    rollout = create_rollout(demo, 2, "--name", "promote")
    record = wait_for_record(demo, victim, UpdateState.PROBATION, offset)
    demo.programs.kill(victim)
    demo.console.say(
        f"{victim} was killed (SIGKILL) after the journal record “{record['kind']} {record['state']}” of version {record['version']}"
    )
    left = processes_of(demo.home(victim))
    started = time.monotonic()
    (demo.home(victim) / "run" / "endpoint.json").unlink(missing_ok=True)
    start_agent(demo, victim)
    image = demo.prober.images[0]
    answer = demo.wait_for("an answer of the killed device", lambda: try_ask(demo, victim, image), 30)
    seconds = time.monotonic() - started
    back = int(str(answer["model_version"]))
    demo.hold(
        "it comes back on the last known good version",
        back == 1,
        f"version {back} answers {seconds:.1f} s after the start; {left} processes were left over",
    )
    view = watch(demo, rollout, "version 2 once more")
    interrupted = [
        event
        for event in demo.events()
        if event.device == victim and event.data.get("update", {}).get("reason") == FailureReason.INTERRUPTED.value
    ]
    demo.hold("the interruption is reported, the second attempt succeeds", view.state is RolloutState.SUCCEEDED and bool(interrupted),
              f"{len(interrupted)} event(s) say interrupted; rollout {view.state.value}")  # fmt: skip
    demo.prober.excused.discard(victim)


def wait_for_record(demo: Demo, device: str, state: UpdateState, offset: int) -> dict[str, Any]:
    """Watch the journal's file until a record of `state` stands there."""
    path = demo.home(device) / "state" / "journal.jsonl"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        data = path.read_bytes()
        for line in data[offset if len(data) >= offset else 0 :].splitlines():
            if b'"state":"' + state.value.encode() + b'"' in line and line.endswith(b"}"):
                found: dict[str, Any] = json.loads(line)
                if found["state"] == state.value:
                    return found
        time.sleep(0.002)
    raise StepError(f"{device} wrote no journal record of {state.value} within 60 s: {demo.programs.tail(device)}")


def try_ask(demo: Demo, device: str, image: bytes) -> dict[str, object] | None:
    """One answer of a device, None while it has none."""
    url = read_endpoint(demo.home(device))
    if url is None:
        return None
    try:
        return ask(url, image)
    except (OSError, ValueError):
        return None


def processes_of(home: Path) -> int:
    """How many processes still name this folder in their command line, half a second after a kill."""
    import psutil

    time.sleep(0.5)
    return sum(str(home) in " ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"]))


def server_away(demo: Demo) -> None:
    """The server is killed and comes back; agents go on, and what they queued arrives, each event once."""
    counts = {device: count_predictions(demo, device) for device in DEVICES}
    demo.programs.kill("server")
    away = time.time()
    demo.programs.end(DEVICES[0])
    start_agent(demo, DEVICES[0])
    demo.prober.excused.add(DEVICES[0])
    with demo.console.working("the server is away") as work:
        for second in range(AWAY_S):
            work.of(second, AWAY_S, "agents go on predicting")
            time.sleep(1)
    more = {device: count_predictions(demo, device) - counts[device] for device in DEVICES}
    demo.hold(
        "agents go on predicting without the server",
        all(count > LEAST_PREDICTIONS for count in more.values()),
        f"{describe_counts(more)} predictions in {AWAY_S} s",
    )
    back = time.time()
    start_server(demo)
    demo.wait_for("three devices online again", lambda: all_online(demo), 60)
    queued = demo.wait_for("windows of the time without server", lambda: windows_between(demo, away, back), 60)
    demo.wait_for(
        "the events of the time without server", lambda: [e for e in demo.events() if e.device == DEVICES[0] and away < at(e.at) < back], 60
    )
    keys = [(event.device, event.stream, event.sequence) for event in demo.events()]
    demo.hold(
        "what was queued arrives, each event once",
        len(keys) == len(set(keys)),
        f"{queued} windows of that time, {len(keys)} events, none twice",
    )


def describe_counts(counts: dict[str, int]) -> str:
    """`pi-01 60, …`."""
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))


def windows_between(demo: Demo, start: float, end: float) -> int:
    """How many windows began while the server was away, if every device has some."""
    found = [view for view in demo.windows() if start < at(view.window.started_at) < end]
    return len(found) if {view.device for view in found} == set(DEVICES) else 0


def at(text: str) -> float:
    """Seconds since 1970 of a time on the wire."""
    from contract.codec import parse_time

    return parse_time(text).timestamp()


def count_predictions(demo: Demo, device: str) -> int:
    """Lines that a device's application has written."""
    return sum(path.read_bytes().count(b"\n") for path in demo.home(device).rglob("predictions.jsonl*"))
