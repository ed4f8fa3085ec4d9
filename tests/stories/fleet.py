"""A real fleet server and its devices as real processes, steered by the public commands and asked over REST."""

import json
from pathlib import Path
from typing import Any

import httpx
import msgspec

from contract.rest import DeviceView, EventPage, EventView, RolloutView
from contract.states import Presence
from tests.stories.devices import endpoint_url
from tests.stories.programs import Programs, wait_for


class Fleet:
    """The server in one data folder, and the agents that were enrolled with it."""

    def __init__(self, programs: Programs) -> None:
        self.programs, self.data = programs, programs.folder / "server"
        self.homes: dict[str, Path] = {}
        self._client = httpx.Client(timeout=10, limits=httpx.Limits(max_keepalive_connections=0))

    def start_server(self) -> None:
        """Start it (again), and wait until it says that it is ready."""
        (self.data / "server.json").unlink(missing_ok=True)
        self.programs.start("server", "eyelet-fleet", "serve", "--data", self.data, "--port", 0, "--mqtt-port", 0)
        wait_for("the server", (self.data / "server.json").exists, explain=lambda: self.programs.log("server"))

    @property
    def server(self) -> dict[str, Any]:
        """`url`, `mqtt_url`, `pid`."""
        loaded: dict[str, Any] = json.loads((self.data / "server.json").read_text())
        return loaded

    @property
    def address(self) -> tuple[object, ...]:
        """How the studio's verbs are told of the server."""
        return ("--server", self.server["url"], "--token-file", self.data / "operator.token")

    def cli(self, *arguments: object) -> Any:
        """What `eyelet-fleet` prints with --json."""
        return self.programs.succeed("eyelet-fleet", *arguments, "--data", self.data, "--json").json

    def make_claim(self, device: str) -> str:
        return str(self.programs.studio("claim", "--device", device, *self.address)["token"])

    def add_device(self, device: str) -> None:
        """Enrol a device with a claim token and start its agent."""
        home = self.homes[device] = self.programs.folder / device
        self.programs.succeed("eyelet-agent", "enroll", self.make_claim(device), "--home", home)
        self.start_device(device)

    def start_device(self, device: str) -> None:
        """Start an agent and wait until it answers for its endpoint."""
        home = self.homes[device]
        (home / "run" / "endpoint.json").unlink(missing_ok=True)
        self.programs.start(device, "eyelet-agent", "run", "--home", home, "--http-port", 0)
        wait_for(f"{device}'s endpoint", lambda: endpoint_url(home), explain=lambda: self.programs.log(device))

    def journal(self, device: str, offset: int = 0) -> list[dict[str, Any]]:
        """Records of a device's journal from a byte on."""
        lines = (self.homes[device] / "state" / "journal.jsonl").read_bytes()[offset:].splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith(b"\n")]

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        token = (self.data / "operator.token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        return self._client.request(method, self.server["url"] + path, headers=headers, **options)

    def _ask(self, path: str, kind: Any, **query: object) -> Any:
        answer = self.request("GET", path, params={name: str(value) for name, value in query.items()})
        answer.raise_for_status()
        return msgspec.json.decode(answer.content, type=kind)

    def devices(self) -> dict[str, DeviceView]:
        return {view.device: view for view in self._ask("/v1/devices", list[DeviceView])}

    def all_online(self) -> bool:
        return all(self.devices()[device].presence is Presence.ONLINE for device in self.homes)

    def versions(self) -> dict[str, int]:
        """The version that each device reports to run."""
        found = {}
        for device, view in self.devices().items():
            slot = view.reported.slots.get("main") if view.reported else None
            found[device] = slot.current.version if slot and slot.current else 0
        return found

    def rollout(self, rollout: str) -> RolloutView:
        view: RolloutView = self._ask(f"/v1/rollouts/{rollout}", RolloutView)
        return view

    def events(self) -> list[EventView]:
        """All events, oldest first."""
        found: list[EventView] = []
        while True:
            page: EventPage = self._ask("/v1/events", EventPage, after=found[-1].id if found else 0, limit=500)
            found += page.events
            if not page.events:
                return found
