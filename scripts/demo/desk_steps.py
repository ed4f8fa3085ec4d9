"""Steps 1 to 4: from a folder of pictures to a signed, published package."""

from typing import Any

from scripts.demo.digits import write_digits
from scripts.demo.state import APPLICATION, DEVICES, MODEL, Demo

TARGETS = ("onnx-float32", "onnx-int8", "litert-float32", "litert-int8")
EPOCHS = 8
LEARNED = 0.95


def import_data(demo: Demo) -> None:
    """Step 1: a folder becomes a frozen dataset version and a frozen acceptance set."""
    demo.console.step(1, "A folder of pictures becomes a dataset version")
    scans = write_digits(demo.folder / "digits")
    report = demo.studio("import", demo.folder / "digits", title="importing")
    demo.results["import"] = report
    refused = [f"{entry['name']} ({entry['reason']})" for entry in report["refused"]]
    demo.console.say(f"{scans} scans in {len(report['classes'])} folders; refused: {'; '.join(refused)}")
    taken_as_expected = report["taken"] == scans and len(refused) == 1 and report["duplicates"] == 1
    demo.hold(
        "the planted faults are found",
        taken_as_expected,
        f"{report['taken']} taken, {len(refused)} refused, {report['duplicates']} duplicate",
    )
    acceptance = demo.studio("acceptance", "--count", 100, "--seed", 0)
    version = demo.studio("freeze", "--seed", 0)
    demo.results.update(acceptance=acceptance, version=version)
    splits = ", ".join(f"{count} {name}" for name, count in version["splits"].items())
    demo.console.say(f"dataset version {version['number']} ({version['digest'][:12]}…): {splits}")
    apart = sum(version["splits"].values()) == scans - 100
    demo.hold("the acceptance set is kept out of every split", apart, f"100 samples apart, {sum(version['splits'].values())} in splits")


def train(demo: Demo, name: str, *options: object, epochs: int = EPOCHS, title: str = "training") -> str:
    """Train a run in a child process and evaluate it; returns the run's id."""
    run = demo.studio("train", "--architecture", "small-cnn", "--epochs", epochs, *options, title=title)
    demo.results[f"run {name}"] = run
    demo.results[f"evaluation {name}"] = demo.studio("evaluate", run["id"], title="evaluating")
    return str(run["id"])


def train_first(demo: Demo) -> None:
    """Step 2: a small network, trained in a child process and evaluated on the test split."""
    demo.console.step(2, "A small network is trained and evaluated")
    demo.results["first"] = train(demo, "1", "--seed", 1)
    found = demo.results["evaluation 1"]
    low, high = found["interval95"]
    text = f"{found['accuracy']:.1%} of {found['samples']} test samples right (95 % interval {low:.1%} to {high:.1%})"
    demo.hold("the network has learned", found["accuracy"] > LEARNED, text)


def convert(demo: Demo, run: str, name: str, *options: object, targets: tuple[str, ...] = TARGETS) -> dict[str, Any]:
    """Convert a run and keep the report."""
    report: dict[str, Any] = demo.studio("convert", run, "--targets", ",".join(targets), "--max-loss", "1.0", *options, title="converting")
    demo.results[f"conversion {name}"] = report
    return report


def convert_first(demo: Demo) -> None:
    """Step 3: four variants, measured side by side through the engine of the device."""
    demo.console.step(3, "The network is converted and quantized, and what that costs is measured")
    report = convert(demo, demo.results["first"], "1")
    rows = []
    for name, variant in report["variants"].items():
        found = variant["evaluation"]
        worse = min(found.get("class_change", {}).items(), key=lambda item: item[1], default=("none", 0.0))
        size = report["files"][name]["size_bytes"]
        rows.append(
            [
                name,
                f"{found['score']:.2%}",
                f"{100 * found.get('change', 0.0):+.2f}",
                f"{found.get('parity', 0.0):.2g}",
                f"{size / 1000:.0f} kB",
                f"{found['latency_p50_ms']:.3f}",
                f"{found['latency_p95_ms']:.3f}",
                f"{worse[0]} {100 * worse[1]:+.1f}" if worse[1] < 0 else "none",
                "pass" if report["gates"][name]["passed"] else "FAIL",
            ]
        )
    demo.console.table(
        "measured on this machine, one thread, through the engine that the device uses",
        ["variant", "accuracy", "change (points)", "parity", "size", "p50 (ms)", "p95 (ms)", "worse classes", "gate: at most 1 point"],
        rows,
    )
    passed = [name for name in report["variants"] if report["gates"][name]["passed"]]
    demo.hold("all four variants pass the gate", set(passed) == set(TARGETS), ", ".join(passed))


def start_server(demo: Demo) -> None:
    """The fleet server with embedded SQLite and the embedded MQTT listener."""
    (demo.server_folder / "server.json").unlink(missing_ok=True)
    demo.programs.start("server", "eyelet-fleet", "serve", "--data", demo.server_folder, "--port", 0, "--mqtt-port", 0)
    demo.wait_for("the server", (demo.server_folder / "server.json").exists, 30)


def package(demo: Demo, run: str, *options: object) -> dict[str, Any]:
    """Build and sign a package, then publish it through TUF."""
    built: dict[str, Any] = demo.studio("package", run, "--model", MODEL, *options, title="packaging")
    demo.studio("publish", demo.project / built["archive"] if "archive" in built else built["path"], *demo.publishing, title="publishing")
    return built


def publish_first(demo: Demo) -> None:
    """Step 4: a package with golden samples, reference, model card and lineage, published through TUF."""
    demo.console.step(4, "A signed package is built and published")
    demo.studio("keys", "init")
    start_server(demo)
    demo.console.say(f"the fleet server listens on {demo.server['url']} and {demo.server['mqtt_url']} (embedded SQLite, embedded MQTT)")
    built = package(demo, demo.results["first"])
    demo.results["package 1"] = built
    models = demo.fleet("models")
    known = [version["version"] for model in models for version in model["versions"] if model["model"] == MODEL]
    demo.hold("the server vouches for version 1", known == [1], f"{built['digest'][:16]}…, signed by the model's key, listed by TUF")


__all__ = [
    "APPLICATION",
    "DEVICES",
    "convert",
    "convert_first",
    "import_data",
    "package",
    "publish_first",
    "start_server",
    "train",
    "train_first",
]
