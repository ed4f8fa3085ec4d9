"""`eyelet-fleet` against a real server, with what a user types."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from fleet_server.cli import COMMANDS, cli
from fleet_server.client import FleetClient
from fleet_server.commands.rollout_options import build_spec
from fleet_server.data_folder import DataFolder
from fleet_server.errors import FleetError
from tests.fleet_server.running import running_server
from tests.simulators.devices import GOOD, REFUSED, SimulatedDevice, enrol

HEAVY = {"torch", "numpy", "PySide6", "litestar", "sqlalchemy", "tuf", "uvicorn", "rich", "httpx"}


def test_help_imports_nothing_heavy():
    code = "import sys; from fleet_server.cli import cli\ntry: cli(['--help'])\nexcept SystemExit: pass\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=True
    )
    assert not HEAVY & {name.partition(".")[0] for name in done.stdout.splitlines()[-1].split()}
    for name in COMMANDS:
        assert name in done.stdout


@pytest.mark.parametrize("name", [*COMMANDS, "rollout create", "rollout watch", "rollout rollback"])
def test_every_command_has_help(name):
    result = CliRunner().invoke(cli, [*name.split(), "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.output


def ask(data, *arguments):
    return CliRunner().invoke(cli, [*arguments, "--data", str(data)])


async def look_at_a_shadow_run(run):
    await run("rollout", "create", "digits", "3", "--name", "in-shadow", "--policy", "shadow_s=60")
    told = "disagreed on 3.1 % of 1,204 pairs: 7→1 37 times"
    assert "in the shadow on 2 devices: disagreed on 3.1 % of 2,408 pairs: 7→1 74 times" in await run("rollout", "watch", "r3")
    assert json.loads(await run("rollout", "show", "r3", "--json"))["assignments"][0]["detail"] == told
    found = json.loads(await run("events", "--device", "pi-1", "--limit", "1000", "--json"))["events"]
    left = [event for event in found if "shadowing → activating" in event["text"]]
    assert left[0]["text"].endswith(told)
    assert left[0]["data"]["update"]["paired"]["pairs"] == 1204


def test_an_operators_day(tmp_path):
    data = tmp_path / "data"

    async def story():
        async with running_server(data) as server, contextlib.AsyncExitStack() as stack:

            async def run(*arguments, code=0):
                result = await asyncio.to_thread(ask, data, *arguments)
                assert result.exit_code == code, result.output
                return result.output

            assert "no device is enrolled" in await run("devices")
            assert "no version" in await run("models")
            assert "no rollout" in await run("rollout", "list")
            await asyncio.to_thread(server.studio.set_up, "digits")
            for version in (1, 2, 3):
                await asyncio.to_thread(server.studio.publish_version, "digits", version)
            for name in ("pi-1", "pi-2"):
                credentials = await enrol(await asyncio.to_thread(server.studio.make_claim, name))
                await stack.enter_async_context(SimulatedDevice(credentials, behave).online())
            created = json.loads(
                await run("rollout", "create", "digits", "1", "--phase", "50", "--phase", "100", "--telemetry", "window_s=10", "--json")
            )
            assert [phase["share_bp"] for phase in created["spec"]["phases"]] == [5000, 10_000]
            assert created["spec"]["telemetry"] == {"window_s": 10.0}
            lines = (await run("rollout", "watch", "r1", "--every", "0.1", "--json")).splitlines()
            assert json.loads(lines[-1])["state"] == "succeeded"
            assert "r2 is " in await run("rollout", "create", "digits", "2", "--name", "broken", "--gate", "max_failures=1", "--force")
            assert json.loads(await run("rollout", "show", "r2", "--json"))["spec"]["force"] is True
            assert "rolled_back" in await run("rollout", "watch", "r2", "--every", "0.1", code=1)
            shown = await run("rollout", "show", "r2")
            assert "install_failures" in shown
            assert "acceptance_below_minimum" in shown
            assert [view["device"] for view in json.loads(await run("devices", "--json"))] == ["pi-1", "pi-2"]
            assert "pi-1" in await run("devices", "pi-1")
            await run("models", "digits", "--alias", "champion=1")
            assert json.loads(await run("models", "digits", "--json"))["aliases"] == {"champion": 1}
            assert "self_testing → failed" in await run("events", "--device", "pi-1")
            actions = [entry["action"] for entry in json.loads(await run("audit", "--json"))]
            assert {"enroll", "publish", "claim", "rollout create", "rollout gate_failed", "alias"} <= set(actions)
            await look_at_a_shadow_run(run)
            await run("rollout", "create", "digits", "1", "--approval", "--phase", "100:600")
            assert "r4 is running" in await run("rollout", "approve", "r4")
            assert "r4 is aborted" in await run("rollout", "abort", "r4", "--reason", "enough")
            assert "aborted" in await run("rollout", "pause", "r4", code=1)
            assert "revoked" in await run("revoke", "pi-2")
            await run("devices", "nobody", code=1)
            assert "another server uses" in await run("rotate-keys", code=1)

    asyncio.run(asyncio.wait_for(story(), 40))
    before = (data / "operator.token").read_text(), (data / "keys" / "online.pem").read_bytes()
    made = json.loads(ask(data, "rotate-keys", "--json").output)
    assert Path(made["old_key"]).read_bytes() == before[1] != (data / "keys" / "online.pem").read_bytes()
    assert Path(made["token_file"]).read_text() != before[0]


def behave(model):
    return REFUSED if model.version == 2 else GOOD


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--gate", "max_failure=1"], "did you mean max_failures"),
        (["--gate", "max_failures=many"], "max_failures"),
        (["--phase", "half"], "half"),
        (["--weights", "1-2"], "no number"),
        (["--policy", "probation_s"], "probation_s"),
        (["--on-failure", "panic"], "panic"),
        (["--agent-min-version", "newest"], "is no version"),
        (["--download-window", "at night"], "is no maintenance window"),
        (["--activation-window", "moon 02:00-04:00"], "names no days"),
    ],
)
def test_a_wrong_option_is_a_wrong_usage(tmp_path, arguments, words):
    token = tmp_path / "token"
    token.write_text("t")
    result = CliRunner().invoke(
        cli, ["rollout", "create", "digits", "1", *arguments, "--server", "http://127.0.0.1:9", "--token-file", str(token)]
    )
    assert result.exit_code == 2
    assert words in result.output


def test_windows_come_into_the_policy_and_give_devices_more_time():
    options = dict.fromkeys(("phases", "devices", "gates", "telemetry", "download_windows"), ()) | {"policy": ("probation_s=5",)}
    options |= {"activation_windows": ("sun 02:00-04:00",), "device_deadline_s": None, "agent_min_version": "0.2", "stagger_s": 0.0}
    options |= {"model": "digits", "version": 1, "application": "", "weights": "1:1", "name": "", "control": None}
    options |= {"on_failure": "rollback", "approval": False, "no_start": False, "force": False}
    spec = build_spec(options)
    assert (spec.policy.probation_s, spec.policy.activation_windows) == (5.0, ("sun 02:00-04:00",))
    assert (spec.device_deadline_s, spec.agent_min_version) == (8 * 86400.0, "0.2")
    in_shadow = build_spec(options | {"policy": ("shadow_s=3600", "shadow_max_disagreement=0.05"), "activation_windows": ()})
    assert (in_shadow.policy.shadow_s, in_shadow.policy.shadow_max_disagreement) == (3600.0, 0.05)
    assert in_shadow.device_deadline_s == 86400.0 + 3 * 3600.0, "a shadow run takes up to three times its length"


def name_in_environment(monkeypatch, tmp_path, **given):
    """Server B is named by environment variables."""
    token = tmp_path / "token-of-b"
    token.write_text("token-of-b")
    for name, value in {"SERVER": "http://127.0.0.1:9", "TOKEN_FILE": str(token), **given}.items():
        monkeypatch.setenv(f"EYELET_{name}", value)


def test_an_option_beats_the_environment_and_never_borrows_its_address_or_token(tmp_path, monkeypatch):
    folder = DataFolder(tmp_path / "a")
    folder.write_server_file("http://127.0.0.1:7", "mqtt://127.0.0.1:8")
    folder.token.write_text("token-of-a")
    name_in_environment(monkeypatch, tmp_path)
    asked = []
    monkeypatch.setattr(FleetClient, "__init__", lambda _self, access: asked.append(access) or _stop())
    CliRunner().invoke(cli, ["devices", "--data", str(folder.root)])
    CliRunner().invoke(cli, ["devices", "--server", "http://127.0.0.1:6", "--token-file", str(folder.token)])
    CliRunner().invoke(cli, ["devices"])
    assert asked == [("http://127.0.0.1:7", "token-of-a"), ("http://127.0.0.1:6", "token-of-a"), ("http://127.0.0.1:9", "token-of-b")]


def _stop():
    raise FleetError("far enough")


@pytest.mark.parametrize(
    ("arguments", "given", "words"),
    [
        (["--server", "http://127.0.0.1:6"], {}, "the options name no token file"),
        (["--token-file", "{token}"], {}, "the options name no address"),
        (["--data", "{folder}", "--server", "http://127.0.0.1:6"], {}, "the options name a server twice"),
        (["--data", "{folder}", "--token-file", "{token}"], {}, "the options name a server twice"),
        ([], {"FLEET_DATA": "/nowhere"}, "EYELET_… name a server twice"),
    ],
)
def test_a_mixture_of_two_places_is_refused(tmp_path, monkeypatch, arguments, given, words):
    name_in_environment(monkeypatch, tmp_path, **given)
    places = {"token": tmp_path / "token-of-b", "folder": tmp_path}
    result = CliRunner().invoke(cli, ["devices", *(argument.format(**places) for argument in arguments)])
    assert result.exit_code == 1
    assert words in result.output


def test_errors_are_one_sentence(tmp_path):
    token = tmp_path / "token"
    token.write_text("t")
    for arguments, words in (
        (["devices"], "not known which server"),
        (["devices", "--data", str(tmp_path / "nothing")], "no server runs"),
        (["devices", "--server", "http://127.0.0.1:9", "--token-file", str(token)], "does not answer"),
        (["devices", "--server", "http://127.0.0.1:9", "--token-file", str(tmp_path / "none")], "can not be read"),
        (["serve", "--data", str(tmp_path / "d"), "--host", "0.0.0.0"], "needs TLS"),
        (["serve", "--data", str(tmp_path / "d"), "--fleet", "A B", "--port", "0", "--mqtt-port", "0"], "fleet"),
    ):
        result = CliRunner().invoke(cli, arguments)
        assert result.exit_code == 1
        assert words in result.output
        assert "Traceback" not in result.output
