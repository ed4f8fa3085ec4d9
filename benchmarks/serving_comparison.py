"""The endpoint beside LitServe, MLServer, BentoML and a plain FastAPI handler: the same models, one connection, one run.

Each server has an environment of its own (`.venv-bench-NAME`, made at the first run, which needs a package
index). All have one thread per model and no spinning. They are asked in their usual form, JSON, by the same
plain socket with keep-alive, in blocks that take turns; the bare session in the asking process takes part.
Run: `python benchmarks/serving_comparison.py [ROUNDS]`
"""

import contextlib
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.compared_servers.environments import Environment, make_environment
from benchmarks.compared_servers.processes import LoopbackClient, StartError, is_open
from benchmarks.compared_servers.request_forms import Form
from benchmarks.compared_servers.servers import SERVERS, Server, Started, Workload, make_workload
from benchmarks.report import Claim, at_least, at_most, print_claims, print_rows, say_machine
from benchmarks.small_models import make_session
from benchmarks.timing import BLOCK, compare_blocks

BARE = "bare session.run"
BINARY_ROW, JSON_ROW = "Eyelet, binary tensors", "Eyelet, JSON of the protocol"
KINDS = {"mlp": "33 numbers, float32", "mobilenet": "96 x 96 x 3, uint8", "mobilenet-float": "96 x 96 x 3, float32"}
TOLERANCE = 1e-4
RIVALS = ("LitServe", "MLServer", "BentoML")


class Found(NamedTuple):
    """Of one workload: microseconds by row, words on each server, and reasons of those that are absent."""

    times_us: dict[str, np.ndarray]
    servers: dict[str, Started]
    absent: dict[str, str]


def check_answer(client: LoopbackClient, form: Form, wanted: np.ndarray) -> bool:
    """Whether the server's scores are those of the bare session."""
    scores = form.read_scores(client.ask(), wanted.size)
    return scores.shape == wanted.shape and bool(np.abs(scores - wanted).max() < TOLERANCE)


def start_all(workload: Workload, environments: Mapping[str, Environment], stack: contextlib.ExitStack) -> Found:
    """Every server that can be had, one after the other; none of them is asked yet."""
    found = Found({}, {}, {})
    for name, server in SERVERS.items():
        environment = environments.get(server.environment)
        if environment is not None and environment.refusal:
            found.absent[name] = f"not installed: {environment.refusal}"
            continue
        try:
            found.servers[name] = stack.enter_context(open_server(name, server, workload, environment))
        except StartError as error:
            found.absent[name] = str(error)
    return found


@contextlib.contextmanager
def open_server(name: str, server: Server, workload: Workload, environment: Environment | None) -> Iterator[Started]:
    """A server that answers rightly in each of its forms; its port is closed at the end."""

    def is_right(port: int) -> bool:
        for form in server.forms:
            with contextlib.closing(LoopbackClient(port, form.build(workload.kind, workload.sample))) as client:
                if not check_answer(client, form, workload.scores):
                    return False
        return True

    with server.start(workload, environment, is_right) as started:
        yield started
    if is_open(started.port):
        raise RuntimeError(f"{name} still listens on port {started.port}")


def measure(workload: Workload, environments: Mapping[str, Environment], rounds: int) -> Found:
    """One workload through all servers."""
    with contextlib.ExitStack() as stack:
        found = start_all(workload, environments, stack)
        session = make_session(workload.model_file.read_bytes())
        works: dict[str, Callable[[], object]] = {BARE: lambda: session.run(None, workload.sample)}
        for name, started in found.servers.items():
            for form in SERVERS[name].forms:
                client = LoopbackClient(started.port, form.build(workload.kind, workload.sample))
                works[f"{name}, {form.name}"] = stack.enter_context(contextlib.closing(client)).ask
        found.times_us.update(compare_blocks(works, rounds))
    return found


def print_times(kind: str, found: Found) -> None:
    """The table of one workload."""
    middle = {name: float(np.median(values)) for name, values in found.times_us.items()}
    rows = []
    for name, values in found.times_us.items():
        like = f"{middle[name] / middle[JSON_ROW]:.1f}" if "JSON" in name else ""
        cells = (*(f"{np.percentile(values, share):,.0f}" for share in (10, 50, 99)), f"{middle[name] / middle[BARE]:.2f}")
        rows.append((name, *cells, f"{middle[name] / middle[BINARY_ROW]:.2f}", like))
    rows += [(name, "", "", "", "", "", reason) for name, reason in found.absent.items()]
    print_rows(f"{kind}: {KINDS[kind]}", ("work", "p10 µs", "p50 µs", "p99 µs", "to bare", "to Eyelet binary", "to Eyelet JSON"), rows)


def print_servers(found: Found) -> None:
    """What each server is made of."""
    rows = [
        (name, SERVERS[name].version, f"{started.first_answer_s:.1f}", str(started.processes), f"{started.memory_mb:.0f}")
        for name, started in found.servers.items()
    ]
    print_rows("the servers, with the last of these models", ("server", "version", "first answer s", "processes", "PSS MB"), rows)


def judge(found: Mapping[str, Found]) -> list[Claim]:
    """The claims, each with its number; a server that is absent is no claim that held."""
    middle = {kind: {name: float(np.median(values)) for name, values in one.times_us.items()} for kind, one in found.items()}
    quiet = {kind: {name: float(np.percentile(values, 10)) for name, values in one.times_us.items()} for kind, one in found.items()}
    claims = [at_most("endpoint p50, binary, mlp", middle["mlp"][BINARY_ROW], 70, "µs")]
    for kind in ("mobilenet", "mobilenet-float"):
        ratio, at_best = (times[kind][BINARY_ROW] / times[kind][BARE] for times in (middle, quiet))
        claims.append(at_most(f"endpoint p50, binary, {kind}, to bare", ratio, 1.4, "×", f"p10: {at_best:.3g}"))
    for kind, least in (("mlp", 10), ("mobilenet", 4), ("mobilenet-float", 4)):
        for name, value in middle[kind].items():
            if name.startswith(RIVALS) and "parallel_workers=0" not in name:  # which is not its usual form, and only shown
                claims.append(at_least(f"{kind}: {name} to Eyelet, binary", value / middle[kind][BINARY_ROW], least, "×"))
        absent = [(name, reason) for name, reason in found[kind].absent.items() if name.startswith(RIVALS)]
        claims += [Claim(f"{kind}: {name} to Eyelet, binary", reason[:60], f"at least {least} ×", held=False) for name, reason in absent]
    return claims


def main(rounds: int) -> None:
    """Print one table per workload, one of the servers, one of the claims."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers are ended also then
    environments = {server.environment: make_environment(server.environment) for server in SERVERS.values() if server.environment}
    say_machine(f"one connection, one thread per model, {rounds} rounds of {BLOCK} requests in turn")
    found = {}
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            found[kind] = measure(make_workload(Path(folder), kind), environments, rounds)
        print_times(kind, found[kind])
    print_servers(found[kind])
    print_claims(judge(found))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 24)
