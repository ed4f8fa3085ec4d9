"""`eyelet-fleet command` and `eyelet-fleet samples` against a real server and connected devices, with what a user types."""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator

import httpx
import msgspec
import pytest
from click.testing import CliRunner, Result

from contract.commands import KINDS, Command, CommandResult, Options
from contract.files import sha256_of
from contract.samples import FieldSample, join_sample
from fleet_server.cli import cli
from fleet_server.commands.command import KIND_NAMES
from tests.fleet_server.running import Running, running_server
from tests.simulators.devices import Obey, SimulatedDevice, enrol

LINE = FieldSample(1, "2026-01-01T00:00:00.000Z", "door", 1, "digits", 3, "onnx-float32", "a.png", "red", 0.4, [0.4, 0.6], "low score")
PICTURES = (b"one", b"two", b"three")


class Place:
    """A server and what a user types to it."""

    def __init__(self, server: Running) -> None:
        self.server = server

    async def run(self, *arguments: object, code: int = 0) -> str:
        return (await self._run(arguments, code)).output

    async def json(self, *arguments: object) -> object:
        return json.loads((await self._run((*arguments, "--json"), 0)).stdout)

    async def _run(self, arguments: tuple[object, ...], code: int) -> Result:
        words = [str(argument) for argument in arguments]
        result = await asyncio.to_thread(CliRunner().invoke, cli, [*words, "--data", str(self.server.data)])
        assert result.exit_code == code, result.output
        return result

    @contextlib.asynccontextmanager
    async def device(self, name: str, obey: Obey | None = None) -> AsyncIterator[SimulatedDevice]:
        credentials = await enrol(await asyncio.to_thread(self.server.studio.make_claim, name))
        device = SimulatedDevice(credentials)
        device.obey = obey or self.upload_for(device)
        async with device.online():
            yield device

    def upload_for(self, device: SimulatedDevice) -> Obey:
        """Sends three pictures where samples are asked for; refuses to measure."""

        async def obey(command: Command) -> CommandResult:
            if command.kind != "upload_samples":
                return CommandResult(1, command.command_id, command.kind != "benchmark", f"no time for {command.kind}")
            credentials = (device.credentials.device, device.credentials.password)
            async with httpx.AsyncClient(base_url=self.server.url, auth=credentials, timeout=20) as client:
                for number, data in enumerate(PICTURES):
                    line = msgspec.structs.replace(
                        LINE, file=f"{number}.png", sha256=sha256_of(data), size_bytes=len(data), score=0.2 * number
                    )
                    path = f"/v1/uploads/{command.command_id}/{sha256_of(data)}"
                    (await client.put(path, content=join_sample(line, data))).raise_for_status()
            return CommandResult(1, command.command_id, ok=True, text="3 samples came to the server", data={"samples": 3})

        return obey


def at_a_server(tmp_path, story) -> None:
    async def run() -> None:
        async with running_server(tmp_path / "data") as server:
            await asyncio.to_thread(server.studio.set_up, "digits")
            await story(Place(server))

    asyncio.run(asyncio.wait_for(run(), 60))


def test_an_operator_asks_waits_and_is_told(tmp_path):
    async def story(place: Place) -> None:
        async with place.device("pi-1") as first, place.device("pi-2"):
            said = await place.run("command", "send", "--all", "--kind", "report", "--wait", "--timeout", 30)
            assert "pi-1: done: no time for report" in said
            assert "pi-2: done" in said
            assert "benchmark is not done on pi-1" in await place.run(
                "command", "send", "pi-1", "--kind", "benchmark", "--option", "most_threads=2", "--wait", code=1
            )
            assert first.commands[-1].options == {"most_threads": 2}
        made = await place.run("command", "send", "pi-1", "--kind", "restart_worker", "--expires", 3600)
        command = made.split()[1]
        assert "waits until the device connects" in made
        assert "restart_worker" in await place.run("command", "list", "--state", "waiting")
        shown = await place.run("command", "show", command)
        assert f"{command}: restart_worker on pi-1 is waiting" in shown
        assert (await place.json("command", "cancel", command))["state"] == "cancelled"
        assert "cancelled already" in await place.run("command", "cancel", command, code=1)
        async with first.online():
            late = await place.json("command", "send", "pi-1", "--kind", "report", "--wait")
            assert late[0]["state"] == "done"
        assert "restart_worker" not in [sent.kind for sent in first.commands]

    at_a_server(tmp_path, story)


def test_samples_are_listed_downloaded_and_deleted(tmp_path):
    async def story(place: Place) -> None:
        assert "no sample is here" in await place.run("samples", "list")
        async with place.device("pi-1"):
            await place.run("command", "send", "pi-1", "--kind", "upload_samples", "--option", "most=5", "--wait")
        assert [view["device"] for view in await place.json("samples", "list")] == ["pi-1"] * 3
        assert len(await place.json("samples", "list", "--below-score", 0.3)) == 2
        assert len(await place.json("samples", "list", "--limit", 1)) == 1
        assert await place.json("samples", "list", "--label", "blue") == []
        folder = tmp_path / "here"
        assert await place.json("samples", "download", folder) == {"fetched": 3, "present": 0, "folder": str(folder)}
        assert sorted(path.read_bytes() for path in folder.glob("*.png")) == sorted(PICTURES)
        assert json.loads(next(folder.glob("*.json")).read_bytes())["line"]["label"] == "red"
        assert "0 fetched into" in await place.run("samples", "download", folder)
        assert "--matching" in await place.run("samples", "delete", code=2)
        first = (await place.json("samples", "list"))[0]["id"]
        assert "1 deleted" in await place.run("samples", "delete", first)
        assert await place.json("samples", "delete", "--matching", "--device", "pi-1") == {"deleted": 2}
        assert "no sample is here" in await place.run("samples", "list")

    at_a_server(tmp_path, story)


def test_a_body_that_never_ends_is_given_up_and_the_device_may_send_again(tmp_path, monkeypatch):
    monkeypatch.setattr("fleet_server.api.sample_routes.BODY_S", 0.2)

    async def story(place: Place) -> None:
        async with place.device("pi-1", obey=keep_quiet) as device:
            (made,) = await place.json("command", "send", "pi-1", "--kind", "upload_samples")
            assert await answer_to_half_a_body(place, device, f"/v1/uploads/{made['command_id']}/{'0' * 64}") == b"HTTP/1.1 408"
            command = Command(1, made["command_id"], "pi-1", "upload_samples", "")
            assert (await place.upload_for(device)(command)).ok

    at_a_server(tmp_path, story)


async def answer_to_half_a_body(place: Place, device: SimulatedDevice, path: str) -> bytes:
    """Version and code of the answer to a body of which half never comes."""
    url = httpx.URL(place.server.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    word = base64.b64encode(f"{device.credentials.device}:{device.credentials.password}".encode()).decode()
    lines = (f"PUT {path} HTTP/1.1", f"Host: {url.host}:{url.port}", f"Authorization: Basic {word}", "Content-Length: 100", "", "half")
    writer.write("\r\n".join(lines).encode())
    answer = await reader.readexactly(12)
    writer.close()
    await writer.wait_closed()
    return answer


async def keep_quiet(_command: Command) -> None:
    """A device that is slow to answer."""


def test_the_help_knows_every_kind_and_every_option():
    assert tuple(KINDS) == KIND_NAMES
    text = CliRunner().invoke(cli, ["command", "send", "--help"]).output
    for kind in KINDS.values():
        assert issubclass(kind, Options)
        for option in kind.__struct_fields__:
            assert option in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["pi-1"], "--kind"),
        (["pi-1", "--kind", "reboot"], "reboot"),
        (["pi-1", "--kind", "upload_samples", "--option", "mots=3"], "did you mean most"),
        (["pi-1", "--kind", "upload_samples", "--option", "most=many"], "most"),
        (["pi-1", "--kind", "capture_samples", "--option", "share=7"], "share"),
    ],
)
def test_a_wrong_option_is_a_wrong_usage(tmp_path, arguments, words):
    token = tmp_path / "token"
    token.write_text("t")
    command = ["command", "send", *arguments, "--server", "http://127.0.0.1:9", "--token-file", str(token)]
    result = CliRunner().invoke(cli, command)
    assert result.exit_code == 2
    assert words in result.output
