"""A live server with devices that send field samples to it."""

import io

import httpx
import msgspec
from PIL import Image

from contract.claims import parse_token
from contract.codec import encode
from contract.commands import CommandRequest
from contract.files import sha256_of
from contract.rest import EnrollRequest
from contract.samples import FieldSample, join_sample
from contract.signing import generate_key, public_key_to_dict
from tests.desktop_app.release.live_server import LiveServer
from tests.simulators.studio import SimulatedStudio, operator_client

LINE = FieldSample(1, "2026-01-01T00:00:00.000Z", "door", 1, "digits", 3, "onnx-float32", "cam", "red", 0.4, [0.4, 0.6], "low score")


def png(seed: int) -> bytes:
    body = io.BytesIO()
    Image.new("RGB", (12, 10), (seed % 256, 20, 30)).save(body, "PNG")
    return body.getvalue()


class FieldFleet:
    """A server and devices that sent samples to it."""

    def __init__(self, server: LiveServer) -> None:
        self.server = server
        with operator_client(server.url, server.token_file) as client:
            studio = SimulatedStudio(client)
            studio.set_up("digits")
            self._claims = {device: studio.make_claim(device) for device in ("pi-01", "pi-02")}
        self._sent: dict[str, tuple[str, str]] = {}

    def send(self, device: str, data: bytes, suffix: str = "png", **line: object) -> None:
        """One sample of a device, as the answer to a command."""
        if device not in self._sent:
            self._sent[device] = self._enrol(device)
        command_id, password = self._sent[device]
        fields = {"file": f"1.{suffix}", "sha256": sha256_of(data), "size_bytes": len(data), **line}
        body = join_sample(msgspec.structs.replace(LINE, **fields), data)
        path = f"{self.server.url}/v1/uploads/{command_id}/{sha256_of(data)}"
        httpx.put(path, content=body, auth=(device, password)).raise_for_status()

    def _enrol(self, device: str) -> tuple[str, str]:
        claim, password = parse_token(self._claims[device]), "p" * 40
        body = EnrollRequest(claim.claim_id, claim.secret, public_key_to_dict(generate_key().public), password, "simulated", "0.1.0")
        json = {"content-type": "application/json"}
        httpx.post(f"{self.server.url}/v1/enroll", content=encode(body), headers=json).raise_for_status()
        with operator_client(self.server.url, self.server.token_file) as client:
            asked = client.post("/v1/commands", content=encode(CommandRequest("upload_samples", devices=(device,))), headers=json)
        return asked.json()[0]["command_id"], password
