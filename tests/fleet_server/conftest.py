"""A server's parts without broker and sockets, with a clock that tests move."""

import asyncio
import base64
import shutil

import httpx
import pytest

from contract.claims import parse_token
from contract.codec import encode
from contract.rest import EnrollRequest
from contract.signing import generate_key, public_key_to_dict
from fleet_server.api import application
from fleet_server.api.floor import Floor
from fleet_server.api.guards import FLOOR
from fleet_server.devices.credentials import Credentials
from fleet_server.samples.sample_files import SampleFiles
from fleet_server.store.artifacts import ArtifactStore
from fleet_server.store.database import Database
from fleet_server.trust.server_keys import open_server_keys
from tests.simulators.studio import SimulatedStudio

TOKEN = "operator-token-for-tests"


class TestClock:
    """A clock that stands still until a test moves it."""

    __test__ = False

    def __init__(self) -> None:
        import time

        self.now = time.time()

    def __call__(self) -> float:
        return self.now


class AppTransport(httpx.BaseTransport):
    """Calls the application without a socket."""

    def __init__(self, app, runner) -> None:
        self.transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self.runner = runner

    def handle_request(self, request):
        asked = httpx.Request(request.method, request.url, headers=request.headers, content=request.read())
        return self.runner.run(self._answer(asked))

    async def _answer(self, request):
        response = await self.transport.handle_async_request(request)
        content = await response.aread()
        return httpx.Response(response.status_code, headers=response.headers, content=content)


@pytest.fixture
def clock():
    return TestClock()


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    path = tmp_path_factory.mktemp("template") / "fleet.sqlite"
    Database(path).close()
    return path


@pytest.fixture
def database(tmp_path, empty_database):
    shutil.copy(empty_database, tmp_path / "fleet.sqlite")
    with Database(tmp_path / "fleet.sqlite") as opened:
        yield opened


@pytest.fixture
def floor(tmp_path, database, clock):
    return Floor(
        database=database,
        artifacts=ArtifactStore(tmp_path / "artifacts"),
        samples=SampleFiles(tmp_path / "samples"),
        credentials=Credentials(database),
        keys=open_server_keys(tmp_path / "keys"),
        fleet="main",
        operator_token=TOKEN,
        clock=clock,
        mqtt_url=lambda: "mqtt://127.0.0.1:1",
    )


@pytest.fixture(scope="session")
def routes():
    """The server's routes, which do not hang on what a test has on its floor; Litestar looks long at each handler."""
    return application._build_routes(None)


@pytest.fixture
def client(floor, routes, monkeypatch):
    routes.state[FLOOR] = floor
    with monkeypatch.context() as patched:
        patched.setattr(application, "_build_routes", lambda _floor: routes)
        built = application.build_application(floor)
    with asyncio.Runner() as runner:
        transport = AppTransport(built, runner)
        with httpx.Client(transport=transport, base_url="http://127.0.0.1", headers={"authorization": f"Bearer {TOKEN}"}) as opened:
            yield opened


@pytest.fixture
def studio(client):
    return SimulatedStudio(client)


@pytest.fixture
def fleet(studio):
    """Enrol devices by name; gives the Authorization header of each."""
    studio.set_up("digits")

    def enrol(*devices, hardware_class="simulated"):
        return {device: enrol_device(studio, device, hardware_class) for device in devices}

    return enrol


def enrol_device(studio, device, hardware_class="simulated", *, token=None):
    claim = parse_token(token or studio.make_claim(device))
    password = "p" * 40
    key = public_key_to_dict(generate_key().public)
    request = EnrollRequest(claim.claim_id, claim.secret, key, password, hardware_class, "0.1.0")
    headers = {"content-type": "application/json", "authorization": ""}
    response = studio.client.post("/v1/enroll", content=encode(request), headers=headers)
    response.raise_for_status()
    return "Basic " + base64.b64encode(f"{device}:{password}".encode()).decode()
