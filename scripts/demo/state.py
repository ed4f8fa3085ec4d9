"""Folders, programs and results that the demonstration's steps share."""

import dataclasses
import json
import secrets
import shutil
from pathlib import Path
from typing import Any

import httpx
import msgspec

from contract.files import write_atomic
from contract.rest import DeviceView, EventPage, RolloutView, WindowView
from scripts.demo.console import Console
from scripts.demo.programs import Programs, StepError, wait_for

DEVICES = ("pi-01", "pi-02", "pi-03")
MODEL = "digits"
APPLICATION = "read-digits"


@dataclasses.dataclass
class Demo:
    """Everything below one folder, which is emptied at the start."""

    folder: Path
    console: Console
    programs: Programs
    results: dict[str, Any] = dataclasses.field(default_factory=dict)
    prober: Any = None
    held: list[tuple[str, bool, str]] = dataclasses.field(default_factory=list)

    @classmethod
    def begin(cls, folder: Path, console: Console) -> "Demo":
        """Empty the folder of an earlier demonstration and make a new passphrase for its keys.

        Raises:
            StepError: the folder holds something else.
        """
        mark = folder / ".eyelet-demo"
        if folder.exists() and any(folder.iterdir()) and not mark.exists():
            raise StepError(f"{folder} holds something that is not an earlier demonstration; name another folder or move it away")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        mark.touch()
        passphrase = secrets.token_urlsafe(18)
        write_atomic(folder / "passphrase.txt", passphrase.encode(), mode=0o600)
        environment = {
            "EYELET_PROJECT": str(folder / "project"),
            "EYELET_KEYS": str(folder / "keys"),
            "EYELET_PASSPHRASE": passphrase,
            "PYTHONUNBUFFERED": "1",
            "NO_COLOR": "1",
            "COLUMNS": "120",
        }
        return cls(folder, console, Programs(folder / "logs", environment))

    @property
    def project(self) -> Path:
        """The studio's project."""
        return self.folder / "project"

    @property
    def server_folder(self) -> Path:
        """The fleet server's data."""
        return self.folder / "server"

    def home(self, device: str) -> Path:
        """A device's folder."""
        return self.folder / "devices" / device

    def studio(self, *arguments: object, title: str = "") -> Any:  # noqa: ANN401
        """Run a verb of the studio with --json, with a bar when `title` is given."""
        if not title:
            return self.programs.run_json("eyelet-studio", *arguments)
        with self.console.working(title) as work:
            return self.programs.run_json("eyelet-studio", *arguments, on_line=work.line)

    def fleet(self, *arguments: object) -> Any:  # noqa: ANN401
        """Run a verb of the fleet's command line with --json."""
        return self.programs.run_json("eyelet-fleet", *arguments, "--data", self.server_folder)

    @property
    def server(self) -> dict[str, Any]:
        """What the server says of itself when it is ready: url, mqtt_url, pid."""
        loaded: dict[str, Any] = json.loads((self.server_folder / "server.json").read_text())
        return loaded

    @property
    def publishing(self) -> tuple[object, ...]:
        """Where the studio publishes."""
        return ("--server", self.server["url"], "--token-file", self.server_folder / "operator.token")

    def ask(self, path: str, kind: Any, **parameters: object) -> Any:  # noqa: ANN401
        """GET from the server as an operator."""
        token = (self.server_folder / "operator.token").read_text().strip()
        shown = {name: str(value) for name, value in parameters.items()}
        answer = httpx.get(self.server["url"] + path, params=shown, headers={"Authorization": f"Bearer {token}"}, timeout=10)
        if answer.status_code >= httpx.codes.BAD_REQUEST:
            raise StepError(f"the server answered {answer.status_code} to {path}: {answer.text[:300]}")
        return msgspec.json.decode(answer.content, type=kind)

    def devices(self) -> dict[str, DeviceView]:
        """All devices by name."""
        return {view.device: view for view in self.ask("/v1/devices", list[DeviceView])}

    def rollout(self, rollout: str) -> RolloutView:
        """One rollout."""
        view: RolloutView = self.ask(f"/v1/rollouts/{rollout}", RolloutView)
        return view

    def events(self) -> list[Any]:
        """All events, oldest first."""
        found: list[Any] = []
        after = 0
        while True:
            page: EventPage = self.ask("/v1/events", EventPage, after=after, limit=500)
            found += page.events
            if not page.events:
                return found
            after = page.next_after

    def windows(self, **parameters: object) -> list[WindowView]:
        """Windows of aggregates that devices delivered."""
        found: list[WindowView] = self.ask("/v1/windows", list[WindowView], limit=1000, **parameters)
        return found

    def hold(self, claim: str, holds: bool, evidence: str) -> None:
        """Note whether a claim holds; one that does not ends the demonstration.

        Raises:
            StepError: it does not.
        """
        self.held.append((claim, holds, evidence))
        if not holds:
            raise StepError(f"this should hold and does not: {claim} ({evidence})")
        self.console.say(f"✓ {claim}: {evidence}")

    def wait_for(self, what: str, ready: Any, timeout_s: float = 60) -> Any:  # noqa: ANN401
        """Poll until something is true, and say what ran dry when it never is."""
        try:
            return wait_for(what, ready, timeout_s)
        except StepError as error:
            logs = "\n".join(f"--- {name}\n{self.programs.tail(name, 800)}" for name in ("server", *DEVICES))
            raise StepError(f"{error}\n{logs}") from error
