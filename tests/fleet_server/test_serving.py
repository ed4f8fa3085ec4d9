"""The whole server with simulated devices over real MQTT and HTTP."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time

import aiomqtt
import pytest

from contract.claims import parse_token
from contract.codec import encode
from contract.messages import Hello
from contract.rest import PhaseSpec, RolloutSpec
from fleet_server.broker.mosquitto import find_mosquitto, start_mosquitto
from fleet_server.broker.passwords import hash_password
from fleet_server.broker.settings import BrokerSettings
from fleet_server.errors import SetupError
from fleet_server.serving import ServeSettings, check_settings
from tests.fleet_server.running import running_server, wait_for
from tests.simulators.devices import GOOD, REFUSED, SLOW, STUCK, SimulatedDevice, enrol
from tests.simulators.studio import SimulatedStudio, operator_client
from tests.simulators.waiting import PROMPT_S


def prepare(studio, *devices, versions=(1,)):
    studio.set_up("digits")
    for version in versions:
        studio.publish_version("digits", version)
    return [studio.make_claim(device) for device in devices]


async def make_devices(server, *names, versions=(1,), behaviour=lambda _model: GOOD):
    tokens = await asyncio.to_thread(prepare, server.studio, *names, versions=versions)
    return [SimulatedDevice(await enrol(token), behaviour) for token in tokens]


async def reaches(server, rollout, state):
    async def look():
        view = await server.get(f"/v1/rollouts/{rollout}")
        return view if view["state"] == state else None

    return await wait_for(look, f"{rollout} to be {state}")


async def all_online(stack, devices):
    for device in devices:
        await stack.enter_async_context(device.online())


def run(work):
    asyncio.run(asyncio.wait_for(work, 30))


def behave(model):
    return {1: GOOD, 2: GOOD, 3: REFUSED, 4: SLOW}[model.version]


async def the_loop(tmp_path, broker):
    async with running_server(tmp_path / "data", broker=broker) as server, contextlib.AsyncExitStack() as stack:
        devices = await make_devices(server, "pi-1", "pi-2", "pi-3", versions=(1, 2, 3, 4), behaviour=behave)
        await all_online(stack, devices)
        await server.post("/v1/rollouts", RolloutSpec("first", "digits", 1))
        await reaches(server, "r1", "succeeded")
        await server.post("/v1/rollouts", RolloutSpec("ab", "digits", 2, control_version=1, treatment_weight=2))
        await wait_for(lambda: _settled(devices, 2), "the devices to settle")
        for device in devices:
            await device.send_window()
        await wait_for(lambda: _acknowledged(devices), "the windows to be stored")
        verdict = (await reaches(server, "r2", "succeeded"))["verdict"]["text"]
        assert verdict.startswith("inconclusive: 1 and 2 devices")
        await server.post("/v1/rollouts", RolloutSpec("refused", "digits", 3, phases=(PhaseSpec(3000), PhaseSpec(10_000))))
        view = await reaches(server, "r3", "rolled_back")
        assert sum(found["revision"] > 0 for found in view["assignments"]) == 1
        await server.post("/v1/rollouts", RolloutSpec("slow", "digits", 4, phases=(PhaseSpec(3000), PhaseSpec(10_000))))
        view = await reaches(server, "r4", "rolled_back")
        assert next(found for found in view["assignments"] if found["revision"])["reason"] == "probation_latency"
        assert all(device.slot.current.version in {1, 2} for device in devices)
        await wait_for(lambda: _acknowledged(devices), "all events to be acknowledged")
        await _each_event_once(server, devices)


async def _settled(devices, revision):
    return all(device.revision >= revision and device.settled for device in devices)


async def _acknowledged(devices):
    return not any(device.outbox for device in devices)


async def _each_event_once(server, devices):
    events = (await server.get("/v1/events?limit=1000"))["events"]
    windows = await server.get("/v1/windows?limit=1000")
    found = sorted((event["device"], event["sequence"]) for event in events) + sorted(
        (window["device"], window["window"]["sequence"]) for window in windows
    )
    expected = [(device.credentials.device, sequence + 1) for device in devices for sequence in range(device.sequence)]
    assert sorted(found) == sorted(expected)


def test_the_loop_with_the_embedded_broker(tmp_path):
    run(the_loop(tmp_path, "embedded"))


@pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed")
def test_the_loop_with_mosquitto(tmp_path):
    run(the_loop(tmp_path, "mosquitto"))


def test_presence_health_and_latency_are_seen(tmp_path):
    async def story():
        async with running_server(tmp_path / "data") as server:
            (device,) = await make_devices(server, "pi-1")

            async def view():
                return await server.get("/v1/devices/pi-1")

            async with device.online_until_cut():
                await device.send_health()
                await server.post("/v1/rollouts", RolloutSpec("first", "digits", 1))
                await reaches(server, "r1", "succeeded")
                await device.send_window(latency_ms=2.0)
                await wait_for(lambda: _acknowledged([device]), "the window to be stored")
                found = await view()
                assert found["presence"] == "online"
                assert found["health"]["state"] == "healthy"
                assert 2 <= found["latency_p95_ms"] <= 2.8

            async def offline():
                return (await view())["presence"] == "offline"

            await wait_for(offline, "the last will")

    run(story())


def test_a_revoked_device_is_cut_off_and_can_not_come_back(tmp_path):
    async def story():
        async with running_server(tmp_path / "data") as server:
            (device,) = await make_devices(server, "pi-1")
            async with device.online():
                await server.post("/v1/devices/pi-1/revoke", {})

                async def cut_off():
                    return not await device.send_health()

                await wait_for(cut_off, "the connection to be cut")
            with pytest.raises(Exception, match=r"(?i)auth|refused|password|code"):
                await device.online().__aenter__()

    run(story())


def test_after_a_restart_devices_deliver_what_they_queued_each_event_once(tmp_path):
    async def story():
        async with running_server(tmp_path / "data") as server:
            devices = await make_devices(server, "pi-1", "pi-2", versions=(1, 2))
            async with contextlib.AsyncExitStack() as stack:
                await all_online(stack, devices)
                await server.post("/v1/rollouts", RolloutSpec("first", "digits", 1))
                await reaches(server, "r1", "succeeded")
                await wait_for(lambda: _acknowledged(devices), "acknowledgement")
                await server.post("/v1/rollouts", RolloutSpec("second", "digits", 2, start=False))
            studio = server.studio
        for device in devices:
            for _ in range(20):
                await device.send_event("agent", text="while the server is away")
                await device.send_window()
        async with running_server(tmp_path / "data", studio=studio) as server, contextlib.AsyncExitStack() as stack:
            assert {device.credentials.mqtt_url for device in devices} == {server.mqtt_url}  # the port is kept
            await all_online(stack, devices)
            for device in devices:  # and everything once more
                await device.say_hello()
            await wait_for(lambda: _acknowledged(devices), "acknowledgement")
            await _each_event_once(server, devices)
            await server.post("/v1/rollouts/r2/start", {"revision": 2})
            await reaches(server, "r2", "succeeded")

    run(story())


def test_a_server_put_back_from_an_older_copy_rises_above_what_devices_saw(tmp_path):
    data, behaviours = tmp_path / "data", {}

    async def story():
        async with running_server(data) as server:
            devices = await make_devices(
                server, "pi-1", "pi-2", versions=(1, 2), behaviour=lambda model: behaviours.get(model.version, GOOD)
            )
            studio = server.studio
            behaviours[1] = STUCK
            async with contextlib.AsyncExitStack() as stack:
                await all_online(stack, devices)
                await server.post("/v1/rollouts", RolloutSpec("first", "digits", 1, phases=(PhaseSpec(5000), PhaseSpec(10_000))))
                await wait_for(lambda: _anyone_at(devices, 1), "the first wish")
        shutil.copytree(data, tmp_path / "copy")
        async with running_server(data, studio=studio) as server, contextlib.AsyncExitStack() as stack:
            await all_online(stack, devices)
            for number in (2, 3, 4):  # what the copy will not know
                await server.post("/v1/rollouts", RolloutSpec(f"later-{number}", "digits", 2))
                await reaches(server, f"r{number}", "succeeded")
        shutil.rmtree(data)
        (tmp_path / "copy").rename(data)
        seen = {device.credentials.device: device.revision for device in devices}
        behaviours.clear()
        async with running_server(data, studio=studio) as server, contextlib.AsyncExitStack() as stack:
            await all_online(stack, devices)
            view = await reaches(server, "r1", "paused")
            assert "the server was restored" in view["state_reason"]
            await server.post("/v1/rollouts/r1/resume", {"revision": view["revision"]})
            await reaches(server, "r1", "succeeded")
            assert all(device.revision > seen[device.credentials.device] for device in devices)
            assert {device.slot.current.version for device in devices} == {1}

    run(story())


async def _anyone_at(devices, revision):
    return any(device.revision >= revision for device in devices)


class ServerProcess:
    """`eyelet-fleet serve` as a real process."""

    def __init__(self, data):
        self.data = data
        self.process = None

    def start(self):
        command = [sys.executable, "-m", "fleet_server", "serve", "--data", str(self.data), "--port", "0", "--mqtt-port", "0"]
        (self.data / "server.json").unlink(missing_ok=True)
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
        deadline = time.monotonic() + 60
        while not (self.data / "server.json").exists():
            assert self.process.poll() is None, "the server ended"
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.02)
        import msgspec

        return msgspec.json.decode((self.data / "server.json").read_bytes())["url"]

    def kill(self, number=signal.SIGKILL):
        self.process.send_signal(number)
        return self.process.wait(10)


def test_killed_in_the_middle_of_a_rollout_the_server_goes_on_where_it_was(tmp_path):
    server = ServerProcess(tmp_path / "data")

    async def story():
        url = await asyncio.to_thread(server.start)
        with operator_client(url, tmp_path / "data" / "operator.token") as client:
            studio = SimulatedStudio(client)
            tokens = await asyncio.to_thread(prepare, studio, "pi-1", "pi-2", "pi-3")
            devices = [SimulatedDevice(await enrol(token)) for token in tokens]
            devices[0].behaviour = lambda _model: STUCK
            async with contextlib.AsyncExitStack() as stack:
                with contextlib.suppress(Exception):  # the connections break with the server
                    await all_online(stack, devices)
                    spec = RolloutSpec("first", "digits", 1, phases=(PhaseSpec(5000), PhaseSpec(10_000)), device_deadline_s=1.5)
                    client.post("/v1/rollouts", content=encode(spec), headers={"content-type": "application/json"})
                    await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        with operator_client(url, tmp_path / "data" / "operator.token") as client:
            async with contextlib.AsyncExitStack() as stack:
                await all_online(stack, devices)

                async def over():
                    view = (await asyncio.to_thread(client.get, "/v1/rollouts/r1")).json()
                    return view if view["state"] == "succeeded" else None

                view = await wait_for(over, "the rollout to go on", 20)
                assert sum(found["settled"] for found in view["assignments"]) == 2
        began = time.monotonic()
        assert await asyncio.to_thread(server.kill, signal.SIGTERM) == 0
        assert time.monotonic() - began < PROMPT_S
        assert not (tmp_path / "data" / "server.json").exists()

    try:
        run(story())
    finally:
        if server.process is not None and server.process.poll() is None:
            server.kill()


def test_two_servers_never_share_a_folder(tmp_path):
    async def story():
        async with running_server(tmp_path / "data"):
            with pytest.raises(SetupError, match="another server"):
                async with running_server(tmp_path / "data"):
                    pass

    run(story())


def test_another_fleet_in_the_same_folder_is_refused(tmp_path):
    async def story():
        async with running_server(tmp_path / "data", fleet="berlin") as server:
            assert (await server.get("/v1/server"))["fleet"] == "berlin"
        with pytest.raises(SetupError, match="berlin"):
            async with running_server(tmp_path / "data", fleet="paris"):
                pass
        async with running_server(tmp_path / "data") as server:
            assert (await server.get("/v1/server"))["fleet"] == "berlin"

    run(story())


def test_beyond_loopback_tls_is_needed(tmp_path):
    with pytest.raises(SetupError, match="needs TLS"):
        check_settings(ServeSettings(data=tmp_path, host="0.0.0.0"))
    with pytest.raises(SetupError, match="both"):
        check_settings(ServeSettings(data=tmp_path, tls_cert=tmp_path / "cert.pem"))


def write_certificate(folder):
    """A certificate for 127.0.0.1, signed by itself."""
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(tz=datetime.timezone.utc)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + datetime.timedelta(days=1))
    certificate = builder.add_extension(address, critical=False).sign(key, hashes.SHA256())
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    return certificate.fingerprint(hashes.SHA256()).hex()


def test_with_tls_both_ports_speak_it_and_claims_carry_the_certificate(tmp_path):
    fingerprint = write_certificate(tmp_path)

    async def story():
        options = {"tls_cert": tmp_path / "cert.pem", "tls_key": tmp_path / "key.pem"}
        async with running_server(tmp_path / "data", **options) as server:
            assert server.url.startswith("https://")
            assert server.mqtt_url.startswith("mqtts://")
            await asyncio.to_thread(server.studio.set_up, "digits")
            token = await asyncio.to_thread(server.studio.make_claim, "pi-1")
            assert parse_token(token).ca_sha256 == fingerprint

    run(story())


class Accounts:
    """Who the operator of a broker let in by hand."""

    def find_verifier(self, device):
        return self.list_verifiers().get(device)

    def list_verifiers(self):
        return {"pi-1": hash_password("secret")}


@pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed")
def test_any_broker_by_url_will_do(tmp_path):
    async def story():
        (tmp_path / "broker").mkdir()
        async with start_mosquitto(BrokerSettings("mosquitto", "main", tmp_path / "broker"), Accounts()) as broker:
            address = broker.address
            url = f"mqtt://{address.username}:{address.password}@{address.host}:{address.port}"
            async with running_server(tmp_path / "data", broker=url) as server:
                assert server.mqtt_url == address.url
                (device,) = await make_devices(server, "pi-1")
                assert device.credentials.mqtt_url == address.url
                account = {"username": "pi-1", "password": "secret", "protocol": aiomqtt.ProtocolVersion.V5}
                async with aiomqtt.Client(address.host, address.port, **account) as client:
                    hello = Hello(1, "b", 1, 0, "s")
                    await client.subscribe("eyelet/v1/main/pi-1/ack")
                    await client.publish("eyelet/v1/main/pi-1/hello", encode(hello), qos=1)
                    async for message in client.messages:
                        assert b'"committed_upto":0' in bytes(message.payload)
                        break

    run(story())
