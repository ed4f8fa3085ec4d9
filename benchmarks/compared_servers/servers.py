"""The compared servers: how each is started with a model, in which forms it is asked."""

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.compared_servers.environments import REQUIREMENTS, Environment
from benchmarks.compared_servers.processes import count_memory, find_free_port, running, wait_until_right
from benchmarks.compared_servers.request_forms import BINARY, PLAIN, PROTOCOL, RAW, Form, Sample
from benchmarks.running_agent import prepare_home, running_agent
from benchmarks.small_models import SIDE, VARIANT, make_package, make_sample, make_session
from contract.package import Package

MODEL_FILE, MODEL_SHAPE = "BENCHMARK_MODEL_FILE", "BENCHMARK_MODEL_SHAPE"  # as in one_thread.py
_PROGRAMS = Path(__file__).resolve().parent


class Workload(NamedTuple):
    """A model, one sample and the scores that every server must give."""

    kind: str
    folder: Path
    package: Package
    sample: Sample
    scores: np.ndarray

    @property
    def model_file(self) -> Path:
        """The ONNX file, the same for all."""
        return self.package.variant_path(VARIANT)


class Started(NamedTuple):
    """A server that answers: seconds from its start to its first right answer, processes, memory as sum of PSS."""

    port: int
    first_answer_s: float
    processes: int
    memory_mb: float


IsRight = Callable[[int], bool]
Start = Callable[[Workload, Environment | None, IsRight], AbstractContextManager[Started]]


class Server(NamedTuple):
    """One row or more of the table; `environment` is empty for this project's own."""

    forms: tuple[Form, ...]
    start: Start
    environment: str = ""

    @property
    def version(self) -> str:
        """Its pinned requirement."""
        return REQUIREMENTS[self.environment][0] if self.environment else "this tree"


def make_workload(folder: Path, kind: str) -> Workload:
    """Package, sample and scores."""
    package = make_package(folder / kind, kind)
    sample = make_sample(kind)
    if kind == "mobilenet":
        sample = {"frame": np.ascontiguousarray(sample["frame"][:SIDE, :SIDE])}
    scores = make_session(package.variant_path(VARIANT).read_bytes()).run(["scores"], sample)[0]
    return Workload(kind, folder, package, sample, scores)


@contextlib.contextmanager
def start_agent(workload: Workload, _: Environment | None, is_right: IsRight) -> Iterator[Started]:
    """A whole agent: supervisor and worker."""
    home = prepare_home(workload.folder / "home", workload.package, VARIANT)
    with running_agent(home) as agent:
        wait_until_right(agent.process, workload.folder / "home.log", lambda: is_right(agent.port))
        first_s = time.perf_counter() - agent.begun_s
        yield Started(agent.port, first_s, *count_memory(agent.process.pid))


Command = Callable[[Environment | None, int, Path], list[str]]


def by_command(name: str, command: Command, settings: Callable[[int, Path, str], None] | None = None) -> Start:
    """A server that is started by a command, after `settings` wrote what it reads."""

    @contextlib.contextmanager
    def start(workload: Workload, environment: Environment | None, is_right: IsRight) -> Iterator[Started]:
        folder, port = workload.folder / name, find_free_port()
        folder.mkdir()
        if settings is not None:
            settings(port, folder, workload.kind)
        (array,) = workload.sample.values()
        variables = {MODEL_FILE: str(workload.model_file), MODEL_SHAPE: ",".join(map(str, array.shape))}
        variables |= {"BENTOML_HOME": str(folder), "BENTOML_DO_NOT_TRACK": "True"}
        begun_s = time.perf_counter()
        with running(command(environment, port, folder), folder, variables) as process:
            wait_until_right(process, folder / "log.txt", lambda: is_right(port))
            first_s = time.perf_counter() - begun_s
            yield Started(port, first_s, *count_memory(process.pid))

    return start


@contextlib.contextmanager
def start_socket(workload: Workload, environment: Environment | None, is_right: IsRight) -> Iterator[Started]:
    """The plain socket's program, in this environment."""
    length = len(RAW.build(workload.kind, workload.sample))

    def command(_: Environment | None, port: int, _folder: Path) -> list[str]:
        return [sys.executable, str(_PROGRAMS / "socket_program.py"), str(port), str(length)]

    with by_command("socket", command)(workload, environment, is_right) as started:
        yield started


def _program(file: str) -> Command:
    return lambda environment, port, _folder: [environment.program("python"), str(_PROGRAMS / file), str(port)]


def _bentoml(environment: Environment, port: int, _: Path) -> list[str]:
    service = ["bentoml_program:Predictor", "--working-dir", str(_PROGRAMS)]
    return [environment.program("bentoml"), "serve", *service, "--host", "127.0.0.1", "--port", str(port)]


def _mlserver(environment: Environment, _: int, folder: Path) -> list[str]:
    return [environment.program("mlserver"), "start", str(folder)]


def _mlserver_settings(workers: int) -> Callable[[int, Path, str], None]:
    def write(port: int, folder: Path, kind: str) -> None:
        settings = {"host": "127.0.0.1", "http_port": port, "grpc_port": find_free_port(), "metrics_endpoint": None}
        settings |= {"parallel_workers": workers, "debug": False}
        (folder / "settings.json").write_text(json.dumps(settings))
        model = {"name": kind, "implementation": "benchmarks.compared_servers.mlserver_runtime.OneThreadRuntime"}
        (folder / "model-settings.json").write_text(json.dumps(model))

    return write


SERVERS = {
    "plain socket": Server((RAW,), start_socket),
    "Eyelet": Server((BINARY, PROTOCOL), start_agent),
    "LitServe": Server((PLAIN,), by_command("litserve", _program("litserve_program.py")), "litserve"),
    "MLServer": Server((PROTOCOL,), by_command("mlserver", _mlserver, _mlserver_settings(1)), "mlserver"),
    "MLServer (parallel_workers=0)": Server((PROTOCOL,), by_command("mlserver-alone", _mlserver, _mlserver_settings(0)), "mlserver"),
    "BentoML": Server((PLAIN,), by_command("bentoml", _bentoml), "bentoml"),
    "FastAPI": Server((PLAIN, RAW), by_command("fastapi", _program("fastapi_program.py")), "fastapi"),
}
