"""A whole fleet server in one object: TUF, artifacts, a real broker, and the answers that a device expects over MQTT."""

import base64
import secrets
import threading
from pathlib import Path
from typing import Any

import msgspec
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from contract.acceptance import AcceptanceSet
from contract.application import Application
from contract.claims import Claim, build_token
from contract.codec import encode, utc_now
from contract.commands import COMMAND_PAYLOAD_TYPE, Command, CommandResult
from contract.files import sha256_of
from contract.manifest import FileEntry
from contract.messages import (
    DESIRED_PAYLOAD_TYPE,
    Ack,
    Desired,
    DesiredApplication,
    DesiredModel,
    DesiredSlot,
    Event,
    Health,
    Hello,
    PresenceMessage,
    Reported,
    Telemetry,
    UpdateEvent,
    UpdatePolicy,
    Window,
)
from contract.package import Package
from contract.rest import EnrollAnswer, EnrollRequest
from contract.signing import generate_key, public_key_to_dict, sign_document
from contract.states import UpdateState
from contract.topics import Channel, build_topic, parse_topic, server_filters
from contract.trust import ModelPolicy, acceptance_target, application_role, application_target, manifest_target, model_role, policy_target
from tests.simulators.artifact_server import ArtifactServer
from tests.simulators.brokers import open_broker
from tests.simulators.tuf_folder import TufFolder
from tests.simulators.waiting import wait_until

FLEET = "home"
QUICK = UpdatePolicy(probation_s=0.3, probation_min_inferences=0, self_test_timeout_s=20)
TALKATIVE = Telemetry(window_s=0.5, health_s=0.5)


class FleetSimulator:
    """Use as a context manager."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.director = generate_key()
        self.server_password = secrets.token_urlsafe(32)
        self.tuf = TufFolder(folder / "tuf")
        self.http = ArtifactServer(folder, self.tuf, self._enroll)
        self.claims: dict[str, tuple[str, str]] = {}
        self.broker = open_broker(folder, FLEET, self.server_password, self.http.passwords.get)
        self.models: dict[tuple[str, int], FileEntry] = {}
        self.applications: dict[tuple[str, int], FileEntry] = {}
        self.desired: dict[str, tuple[int, bytes]] = {}
        self.hellos: list[Hello] = []
        self.received: list[tuple[str, int]] = []  # every (stream, sequence) as it came, repeats included
        self.events: dict[tuple[str, int], Event] = {}
        self.windows: dict[tuple[str, int], Window] = {}
        self.results: dict[tuple[str, int], CommandResult] = {}
        self.reported: dict[str, Reported] = {}
        self.health: dict[str, Health] = {}
        self.presence: dict[str, PresenceMessage] = {}
        self.acknowledging = True
        self._client: paho.Client | None = None
        self._connect()

    def __enter__(self) -> "FleetSimulator":  # noqa: PYI034  (Python 3.10 has no Self)
        return self

    def __exit__(self, *_: object) -> None:
        self._disconnect()
        self.broker.close()
        self.http.close()

    # Going down and up

    def take_down(self) -> None:
        self._disconnect()
        self.broker.close()
        self.http.close()

    def bring_up(self) -> None:
        self.http.open()
        self.broker.open()
        self._connect()

    def _connect(self) -> None:
        client = self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id="server", protocol=paho.MQTTv5)
        client.username_pw_set("server", self.server_password)
        client.on_message = self._receive
        subscribed = threading.Event()
        client.on_connect = lambda client, *_: client.subscribe([(topic, 1) for topic in server_filters(FLEET)])
        client.on_subscribe = lambda *_: subscribed.set()
        client.connect("127.0.0.1", self.broker.port)
        client.loop_start()
        assert subscribed.wait(5)

    def _disconnect(self) -> None:
        if self._client is not None:
            self._client.disconnect()
            self._client.loop_stop()
            self._client = None

    # Enrolment

    def make_claim(self, device: str, *, root_sha256: str = "") -> str:
        claim_id, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
        self.claims[claim_id] = (secret, device)
        return build_token(
            Claim(
                schema_version=1,
                claim_id=claim_id,
                server_url=self.http.url,
                secret=secret,
                root_sha256=root_sha256 or sha256_of(self.tuf.root_bytes),
                fleet=FLEET,
                device=device,
                expires_at="2099-01-01T00:00:00Z",
            )
        )

    def _enroll(self, request: EnrollRequest) -> EnrollAnswer | None:
        secret, device = self.claims.pop(request.claim_id, ("", ""))
        if not secret or secret != request.secret:
            return None
        self.http.passwords[device] = request.password
        return EnrollAnswer(
            fleet=FLEET,
            device=device,
            mqtt_url=f"mqtt://127.0.0.1:{self.broker.port}",
            director_key=public_key_to_dict(self.director.public),
            root=base64.b64encode(self.tuf.root_bytes).decode(),
        )

    # Publishing

    def add_artifact(self, data: bytes) -> FileEntry:
        (self.http.artifacts / sha256_of(data)).write_bytes(data)
        return FileEntry(sha256_of(data), len(data))

    def publish(self, package: Package) -> FileEntry:
        for name in package.manifest.files:
            self.add_artifact(package.path_of(name).read_bytes())
        model, version = package.manifest.name, package.manifest.version
        self.tuf.set_target(model_role(model), manifest_target(model, version), package.manifest_bytes)
        entry = self.models[model, version] = FileEntry(package.digest, len(package.manifest_bytes))
        return entry

    def publish_acceptance(self, acceptance: AcceptanceSet, samples: bytes) -> None:
        self.add_artifact(samples)
        self.tuf.set_target(model_role(acceptance.model), acceptance_target(acceptance.model), encode(acceptance))

    def publish_application(self, application: Application) -> None:
        data, name, version = encode(application), application.name, application.version
        self.tuf.set_target(application_role(name), application_target(name, version), data)
        self.applications[name, version] = FileEntry(sha256_of(data), len(data))

    def set_min_version(self, model: str, version: int) -> None:
        self.tuf.set_target(model_role(model), policy_target(model), encode(ModelPolicy(1, model, version)))

    # Wishing

    def wish(
        self,
        device: str,
        model: str,
        version: int,
        *,
        application: tuple[str, int] | None = None,
        policy: UpdatePolicy = QUICK,
        telemetry: Telemetry = TALKATIVE,
        **fields: Any,
    ) -> int:
        """Wish for a version; `fields` go into the model's wish (rollout, arm, force, manifest)."""
        entry = fields.pop("manifest", None) or self.models[model, version]
        app = DesiredApplication(*application, self.applications[application]) if application else None
        slot = DesiredSlot(DesiredModel(model, version, entry, **fields), app)
        return self.send_desired(device, {"main": slot}, policy=policy, telemetry=telemetry)

    def send_desired(self, device: str, slots: dict[str, DesiredSlot], **fields: Any) -> int:
        revision = self.desired.get(device, (0, b""))[0] + 1
        document = Desired(schema_version=1, fleet=FLEET, device=device, revision=revision, issued_at=utc_now(), slots=slots, **fields)
        envelope = sign_document(encode(document), DESIRED_PAYLOAD_TYPE, self.director)
        self.desired[device] = (revision, envelope)
        self.send(device, Channel.DESIRED, envelope)
        return revision

    def command(self, device: str, kind: str, *, command_id: str = "", expires_at: str = "2099-01-01T00:00:00Z", **options: Any) -> Command:
        """Send a command, once."""
        command = Command(1, command_id or f"c-{secrets.token_hex(4)}", device, kind, expires_at, options)
        self.send(device, Channel.COMMAND, sign_document(encode(command), COMMAND_PAYLOAD_TYPE, self.director))
        return command

    def send(self, device: str, channel: Channel, payload: bytes) -> None:
        if self._client is not None:
            topic = build_topic(FLEET, device, channel)
            self._client.publish(topic, payload, qos=0 if channel is Channel.ACK else 1, retain=channel is Channel.DESIRED)

    # Hearing

    def _receive(self, _client: object, _userdata: object, message: paho.MQTTMessage) -> None:
        topic = parse_topic(message.topic)
        kinds: dict[Channel, type[msgspec.Struct]] = {
            Channel.HELLO: Hello,
            Channel.EVENT: Event,
            Channel.WINDOW: Window,
            Channel.REPORTED: Reported,
            Channel.HEALTH: Health,
            Channel.PRESENCE: PresenceMessage,
            Channel.COMMAND_RESULT: CommandResult,
        }
        if topic.channel not in kinds:
            return
        document: Any = msgspec.json.decode(message.payload, type=kinds[topic.channel])
        if topic.channel is Channel.HELLO:
            self._answer_hello(topic.device, document)
        elif topic.channel in {Channel.EVENT, Channel.WINDOW, Channel.COMMAND_RESULT}:
            self._store(topic.device, document)
        else:
            {Channel.REPORTED: self.reported, Channel.HEALTH: self.health, Channel.PRESENCE: self.presence}[topic.channel][topic.device] = (
                document
            )

    def _answer_hello(self, device: str, hello: Hello) -> None:
        self.hellos.append(hello)
        revision, envelope = self.desired.get(device, (0, b""))
        if revision > hello.desired_revision:
            self.send(device, Channel.DESIRED, envelope)
        self._acknowledge(device, hello.stream)

    def _store(self, device: str, document: Event | Window | CommandResult) -> None:
        key = (document.stream, document.sequence)
        self.received.append(key)
        if self.acknowledging:
            kept: dict[type, Any] = {Event: self.events, Window: self.windows, CommandResult: self.results}
            kept[type(document)].setdefault(key, document)
            self._acknowledge(device, document.stream)

    def _acknowledge(self, device: str, stream: str) -> None:
        have = {sequence for known, sequence in [*self.events, *self.windows, *self.results] if known == stream}
        upto = 0
        while upto + 1 in have:
            upto += 1
        if self.acknowledging:
            self.send(device, Channel.ACK, encode(Ack(1, stream, upto)))

    # Waiting

    def results_of(self, command: Command) -> list[CommandResult]:
        """Every result of a command, in the order of their sequence."""
        results = sorted(self.results.values(), key=lambda result: result.sequence)
        return [result for result in results if result.command_id == command.command_id]

    def updates(self, device_revision: int | None = None) -> list[UpdateEvent]:
        """Update events in the order of their sequence."""
        found = [event.update for _, event in sorted(self.events.items(), key=lambda item: item[0][1]) if event.update is not None]
        return [update for update in found if device_revision in {None, update.revision}]

    def wait_for_final(self, revision: int, timeout_s: float = 60.0) -> UpdateEvent:
        """The final update event of a revision."""
        final = {UpdateState.DONE, UpdateState.FAILED, UpdateState.ROLLED_BACK}
        wait_until(lambda: any(update.state in final for update in self.updates(revision)), timeout_s, lambda: str(self.updates()))
        return next(update for update in self.updates(revision) if update.state in final)
