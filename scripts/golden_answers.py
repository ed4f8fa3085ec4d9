"""Runs on the platform that is checked: opens packages, compares golden samples, and prints one JSON document.

Needs the engine and one runtime, nothing of the tests and no converter. A runtime that ends its
process must not take the others' answers with it: whoever starts this names one runtime a time.
"""

import argparse
import importlib
import json
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

KEY_FILE = "owner.pub.json"
SUPERVISOR_MODULES = (
    "edge_agent.update.machine",
    "edge_agent.update.journal",
    "edge_agent.outbox",
    "edge_agent.trust_store",
    "edge_agent.health",
    "edge_agent.supervisor",
)
PAYLOAD_TYPE = "application/vnd.eyelet.check+json"
MOVES_MAX = 20
FORBIDDEN_IN_SUPERVISOR = ("numpy", "onnxruntime", "ai_edge_litert", "tflite_runtime", "PIL")


def answer_packages(folder: Path, runtime: str) -> list[dict[str, Any]]:
    """How far every variant of that runtime in the packages below `folder` is from its golden samples."""
    from contract.package import open_package
    from contract.signing import public_key_from_bytes

    _, key = public_key_from_bytes((folder / KEY_FILE).read_bytes())
    rows = []
    for path in sorted(path for path in folder.iterdir() if path.is_dir()):
        package = open_package(path, {path.name: key})
        rows += [_answer(package, name) for name, variant in package.manifest.variants.items() if variant.runtime == runtime]
    return rows


def _answer(package: Any, name: str) -> dict[str, Any]:  # noqa: ANN401  (contract.package.Package, imported where it is needed)
    from edge_agent.engine.engine import open_engine
    from edge_agent.engine.errors import EngineError
    from edge_agent.engine.golden import check_golden, load_golden

    manifest = package.manifest
    row = {"package": manifest.name, "variant": name, "steps": [step.operation for step in manifest.variants[name].pipeline]}
    try:
        samples = load_golden(package.path_of(manifest.golden), manifest)
        with open_engine(package, name) as engine:
            result = check_golden(engine, samples, name, manifest.variants[name])
    except EngineError as error:
        return {**row, "passed": False, "error": str(error)}
    numbers = {"samples": len(samples), "max_difference": result.max_difference, "tolerance": result.tolerance}
    return {**row, **numbers, "passed": result.passed}


def answer_host_steps(vectors: Path) -> list[dict[str, Any]]:
    """How far every published vector of the host steps is from what they give here."""
    import numpy as np

    from contract.manifest import HostStep
    from edge_agent.engine.host_steps import build_steps

    rows = []
    for vector in json.loads(vectors.read_text(encoding="utf-8"))["vectors"]:
        (step,) = build_steps([HostStep(vector["operation"], vector["options"])])
        found, expected = step(np.array(vector["input"], vector.get("dtype", "uint8"))), np.array(vector["output"])
        fits = found.shape == expected.shape and found.dtype == vector.get("output_dtype", "uint8")
        difference = float(np.abs(found.astype(np.float64) - expected).max()) if fits else float("inf")
        passed = difference <= vector["tolerance"]
        rows.append({"vector": vector["name"], "max_difference": difference, "tolerance": vector["tolerance"], "passed": passed})
    return rows


def answer_supervisor() -> list[dict[str, Any]]:
    """What of the supervisor's side runs here: its modules, a signed document, the outbox in SQLite, the update states."""
    for module in SUPERVISOR_MODULES:
        importlib.import_module(module)
    drawn = sorted(name for name in FORBIDDEN_IN_SUPERVISOR if name in sys.modules)
    rows = [{"part": "import of the supervisor without numpy", "passed": not drawn}]
    with tempfile.TemporaryDirectory() as folder:
        rows += [{"part": "signed document", "passed": _signs()}, {"part": "outbox in SQLite", "passed": _keeps(Path(folder))}]
        rows += [{"part": "file from a patch", "passed": _rebuilds(Path(folder))}]
    return [*rows, {"part": "update states", "passed": _advances()}]


def _signs() -> bool:
    from contract.errors import ContractError
    from contract.signing import generate_key, sign_document, verify_payload

    key = generate_key()
    envelope = sign_document(b"{}", PAYLOAD_TYPE, key)
    if verify_payload(envelope, PAYLOAD_TYPE, {"owner": key.public}) != b"{}":
        return False
    try:
        verify_payload(envelope, PAYLOAD_TYPE, {"owner": generate_key().public})
    except ContractError:
        return True
    return False


def _keeps(folder: Path) -> bool:
    from contract.codec import utc_now
    from contract.messages import Event
    from edge_agent.outbox import Outbox

    outbox = Outbox(folder / "outbox.sqlite")
    stream = outbox.stream
    for text in "abc":
        outbox.put(Event(1, "", 1, "boot", utc_now(), "agent", text=text))
    first = [waiting.sequence for waiting in outbox.waiting()]
    outbox.acknowledge(stream, 2)
    outbox.close()
    again = Outbox(folder / "outbox.sqlite")
    kept = [waiting.sequence for waiting in again.waiting()]
    same = again.stream == stream
    again.close()
    return (first, kept, same) == ([1, 2, 3], [3], True)


def _rebuilds(folder: Path) -> bool:
    from contract.deltas import PatchKind
    from contract.patching import Job, apply_patch, make_patch

    base, new = bytes(range(256)) * 100, bytes(range(1, 256)) * 100
    (folder / "base").write_bytes(base)
    made = []
    for kind in PatchKind:
        (folder / "patch").write_bytes(make_patch(kind, base, new))
        rebuilt = bytearray()
        apply_patch(Job(kind, folder / "base", folder / "patch", len(new)), rebuilt.extend)
        made.append(bytes(rebuilt) == new)
    return all(made)


def _advances() -> bool:
    from contract.manifest import FileEntry
    from contract.messages import DesiredModel
    from contract.states import UpdateState
    from edge_agent.update.events import Slot, Succeeded, Wished
    from edge_agent.update.machine import advance
    from edge_agent.update.records import Wish

    slot, _ = advance(Slot(), Wished(Wish(1, DesiredModel("digits", 1, FileEntry("a" * 64, 100)))))
    for _ in range(MOVES_MAX):
        if slot.update is None or slot.update.state is UpdateState.DONE:
            break
        variant = "onnx-float32" if slot.update.state is UpdateState.SELF_TESTING else None
        slot, _ = advance(slot, Succeeded(slot.update.state, variant=variant))
    return slot.current is not None and slot.current == slot.last_known_good


def describe_platform(runtime: str | None) -> dict[str, Any]:
    """Machine, versions, and where a runtime was asked for what it is, or why it can not be used."""
    found = {"machine": platform.machine(), "python": platform.python_version()}
    if runtime is None:
        return found
    from edge_agent.engine.runtimes import absence_reason, runtime_version

    absent = absence_reason(runtime)
    return {**found, "runtime": None, "absent": absent} if absent else {**found, "runtime": runtime_version(runtime)}


def main() -> None:
    """Answer what was asked for; the document is the last line of stdout."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runtime", help="answer the packages' variants of this runtime")
    parser.add_argument("--packages", type=Path, help="folder with packages and the public key")
    parser.add_argument("--vectors", type=Path, help="file with the test vectors of the host steps")
    parser.add_argument("--supervisor", action="store_true", help="try the supervisor's side")
    arguments = parser.parse_args()
    rows = answer_supervisor() if arguments.supervisor else []
    found = describe_platform(arguments.runtime)
    if arguments.packages and found.get("runtime"):
        rows += answer_packages(arguments.packages, arguments.runtime)
    if arguments.vectors:
        rows += answer_host_steps(arguments.vectors)
    print(json.dumps({"platform": found, "rows": rows}))


if __name__ == "__main__":
    main()
