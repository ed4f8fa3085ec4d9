"""A real agent process in a test: `eyelet-agent run` in a folder, its endpoint, its end."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import urllib3

from tests.simulators.waiting import wait_until


class AgentProcess:
    """Use as a context manager; SIGKILL at the end if it still runs."""

    def __init__(self, home: Path, *, name: str = "agent", before: tuple[str, ...] = ()) -> None:
        """`before` is put before the agent's command line."""
        self.home = home
        self._before = before
        self.command: tuple[str, ...] = (sys.executable, "-m", "edge_agent.cli")
        self.log = home.parent / f"{name}.log"
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "AgentProcess":  # noqa: PYI034  (Python 3.10 has no Self)
        try:
            self.start()
        except BaseException:
            self.kill()  # nobody leaves a context that was not entered
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start and wait until it answers for its endpoint."""
        self.spawn()
        self.wait_until_started()

    def spawn(self) -> None:
        """Start, and wait for nothing."""
        (self.home / "run" / "endpoint.json").unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self._before, *self.command, "run", "--home", str(self.home), "--http-port", "0"],
                stderr=log,
                stdout=log,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )

    def wait_until_started(self) -> None:
        """Until it says where it answers."""
        assert self.process is not None
        wait_until(lambda: (self.home / "run" / "endpoint.json").exists() or self.process.poll() is not None, 60, self.read_log)  # type: ignore[union-attr]
        assert self.process.poll() is None, self.read_log()

    def read_log(self) -> str:
        return self.log.read_text()[-6000:] if self.log.exists() else ""

    @property
    def endpoint(self) -> dict[str, Any]:
        return json.loads((self.home / "run" / "endpoint.json").read_text())

    def answers(self, frame_png: bytes, timeout_s: float = 5.0) -> dict[str, Any]:
        """One answer of the endpoint to an image; raises where it does not answer."""
        response = urllib3.request(
            "POST",
            f"{self.endpoint['url']}/v2/models/digits/infer",
            body=frame_png,
            headers={"Content-Type": "image/png", "Connection": "close"},
            timeout=timeout_s,
            retries=False,
        )
        assert response.status == 200, response.data
        return json.loads(response.data)

    def kill(self) -> None:
        """SIGKILL, as by a power cut."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.wait()

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self, timeout_s: float = 20.0) -> int:
        assert self.process is not None
        return self.process.wait(timeout_s)

    def journal(self) -> list[dict[str, Any]]:
        """The journal's whole lines; one that is being written has no end yet and is left out."""
        return [json.loads(line) for line in self._journal_lines()]

    def last_line(self) -> dict[str, Any]:
        """The last of `journal`, for who asks a thousand times a second."""
        return json.loads(self._journal_lines()[-1])

    def _journal_lines(self) -> list[bytes]:
        path = self.home / "state" / "journal.jsonl"
        return path.read_bytes().split(b"\n")[:-1] if path.exists() else []
