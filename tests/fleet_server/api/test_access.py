import base64

import pytest

from contract.rest import ErrorBody
from fleet_server.api.access import Caller, identify, require_operator
from fleet_server.errors import NotAllowedError, NotKnownError, TooManyError

OPERATOR_PATHS = [
    "/v1/devices",
    "/v1/models",
    "/v1/rollouts",
    "/v1/events",
    "/v1/windows",
    "/v1/audit",
    "/v1/trust/keys",
    "/v1/commands",
    "/v1/samples",
    "/v1/devices/pi-1",
]


def error_of(response, code):
    assert response.status_code == code, (response.status_code, response.text)
    return ErrorBody(**response.json())


@pytest.mark.parametrize("header", ["", "Bearer wrong", "Basic x", "Basic " + base64.b64encode(b"pi-1:wrong").decode(), "Digest a"])
def test_without_credentials_nothing_is_answered(client, clock, header):
    others = ["/v1/tuf/metadata/timestamp.json", "/v1/artifacts/" + "0" * 64, "/v1/device/desired"]
    for path in [*OPERATOR_PATHS, *others]:
        error_of(client.get(path, headers={"authorization": header}), 401)
        clock.now += 61


def test_a_device_reads_nothing_of_the_operators(client, fleet):
    device = fleet("pi-1")["pi-1"]
    for path in OPERATOR_PATHS:
        assert "operators" in error_of(client.get(path, headers={"authorization": device}), 403).error


def test_a_device_reads_metadata_artifacts_and_its_own_wish(client, fleet, studio):
    device = {"authorization": fleet("pi-1")["pi-1"]}
    entry = studio.upload(b"weights")
    assert client.get("/v1/tuf/metadata/timestamp.json", headers=device).status_code == 200
    assert client.get(f"/v1/artifacts/{entry.sha256}", headers=device).content == b"weights"
    assert error_of(client.put(f"/v1/artifacts/{entry.sha256}", content=b"weights", headers=device), 403)
    assert "no wish" in error_of(client.get("/v1/device/desired", headers=device), 404).error


def test_a_revoked_device_is_a_stranger(client, fleet):
    device = {"authorization": fleet("pi-1")["pi-1"]}
    assert client.post("/v1/devices/pi-1/revoke").json()["revoked"] is True
    error_of(client.get("/v1/tuf/metadata/timestamp.json", headers=device), 401)


def test_a_foreign_host_header_is_refused_on_loopback(client):
    for host in ("evil.example", "evil.example:8470", "127.0.0.1.evil.example", "", "localhost.evil"):
        assert "loopback" in error_of(client.get("/v1/server", headers={"host": host}), 403).error
        error_of(client.get("/v1/artifacts/" + "0" * 64, headers={"host": host}), 403)
        error_of(client.get("/", headers={"host": host}), 403)
    for host in ("localhost", "localhost:8470", "127.0.0.1:1", "[::1]:8470", "LOCALHOST"):
        assert client.get("/v1/server", headers={"host": host}).status_code == 200


def test_wrong_tokens_are_counted_and_the_right_one_still_works(floor, clock):
    for _ in range(10):
        with pytest.raises(NotKnownError):
            identify(floor, "Bearer wrong", "10.0.0.1")
    with pytest.raises(TooManyError):
        identify(floor, "Bearer wrong", "10.0.0.1")
    assert identify(floor, f"Bearer {floor.operator_token}", "10.0.0.1").operator
    clock.now += 61
    with pytest.raises(NotKnownError):
        identify(floor, "Bearer wrong", "10.0.0.1")


def test_a_device_is_no_operator():
    with pytest.raises(NotAllowedError):
        require_operator(Caller(operator=False, device="pi-1"))


REFUSALS = [
    ("POST", "/v1/rollouts", b"{", 400, ""),
    ("POST", "/v1/rollouts", b"", 400, ""),
    ("POST", "/v1/rollouts", b'{"name":"a","model":"digits"}', 400, "version"),
    ("POST", "/v1/rollouts", b'{"name":"a","model":"digits","version":1,"shaer":2}', 400, "shaer"),
    ("POST", "/v1/rollouts", b'{"name":"a","model":"../x","version":1}', 400, "model"),
    ("POST", "/v1/rollouts", b'{"name":"a","model":"digits","version":1e999}', 400, ""),
    ("POST", "/v1/rollouts", b"x" * (2 << 20), 413, ""),
    ("GET", "/v1/nothing", b"", 404, ""),
    ("DELETE", "/v1/devices", b"", 405, ""),
    ("GET", "/v1/events?limit=0", b"", 400, "limit"),
    ("GET", "/v1/events?limit=9999", b"", 400, "limit"),
    ("GET", "/v1/devices/nobody", b"", 404, "nobody"),
    ("GET", "/v1/models/none", b"", 404, "none"),
    ("GET", "/v1/rollouts/r9", b"", 404, "r9"),
    ("POST", "/v1/rollouts/r9/dance", b'{"revision":1}', 404, "dance"),
]


def test_every_refusal_has_the_same_body_and_says_what_is_wrong(client):
    for method, path, body, code, word in REFUSALS:
        response = client.request(method, path, content=body, headers={"content-type": "application/json"})
        assert word in error_of(response, code).error, path


def test_the_interface_describes_itself(client):
    paths = client.get("/openapi/openapi.json", headers={"authorization": ""}).json()["paths"]
    assert {"/v1/enroll", "/v1/rollouts/{rollout}/{action}", "/v1/trust/publications"} <= set(paths)


def test_the_dashboard_holds_no_data_and_runs_only_its_own_script(client):
    page = client.get("/", headers={"authorization": ""})
    assert "text/html" in page.headers["content-type"]
    assert "script-src 'self'" in page.headers["content-security-policy"]
    script = client.get("/dashboard.js").text
    assert "innerHTML" not in script
    assert "insertAdjacentHTML" not in script
    for name in ("dashboard.css", "dashboard.js"):
        assert f'"/{name}"' in page.text
        assert client.get(f"/{name}").status_code == 200
