import threading

import httpx
import msgspec
import pytest

from contract.claims import build_token, parse_token
from contract.codec import encode
from contract.rest import ClaimRequest, EnrollRequest
from contract.signing import generate_key, public_key_to_dict
from fleet_server.devices.credentials import Credentials, open_operator_token
from fleet_server.devices.enrolment import enroll
from fleet_server.errors import NotAllowedError, SetupError
from tests.fleet_server.conftest import enrol_device


def request_of(token, **changes):
    claim = parse_token(token)
    key = public_key_to_dict(generate_key().public)
    return EnrollRequest(
        **{**dict(zip(EnrollRequest.__struct_fields__, (claim.claim_id, claim.secret, key, "p" * 40, "pi", "0.1"), strict=True)), **changes}
    )


def test_a_claim_is_good_for_one_enrolment(studio):
    studio.set_up("digits")
    token = studio.make_claim("pi-1")
    enrol_device(studio, "pi-1", token=token)
    with pytest.raises(httpx.HTTPStatusError, match="403"):
        enrol_device(studio, "pi-1", token=token)


def test_a_wrong_secret_leaves_the_claim_good(studio):
    studio.set_up("digits")
    token = studio.make_claim("pi-1")
    wrong = build_token(msgspec.structs.replace(parse_token(token), secret="guess"))
    with pytest.raises(httpx.HTTPStatusError, match="403"):
        enrol_device(studio, "pi-1", token=wrong)
    enrol_device(studio, "pi-1", token=token)


def test_an_expired_claim_is_refused(studio, clock):
    studio.set_up("digits")
    token = studio.make_claim("pi-1", seconds=60)
    clock.now += 61
    with pytest.raises(httpx.HTTPStatusError, match="403"):
        enrol_device(studio, "pi-1", token=token)


def test_of_two_devices_with_the_same_claim_one_is_enrolled(studio, floor, clock):
    studio.set_up("digits")
    request = request_of(studio.make_claim("pi-1"))
    results = []

    def try_it():
        try:
            results.append(floor.database.write(lambda connection: enroll(connection, request, clock())))
        except NotAllowedError:
            results.append("refused")

    threads = [threading.Thread(target=try_it) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["pi-1", *["refused"] * 5]


def test_guessing_is_slowed_down(studio, clock):
    studio.set_up("digits")
    request = msgspec.structs.replace(request_of(studio.make_claim("pi-1")), secret="guess")

    def guess():
        return studio.client.post("/v1/enroll", content=encode(request), headers={"content-type": "application/json"}).status_code

    assert [guess() for _ in range(12)] == [403] * 10 + [429] * 2
    clock.now += 61
    assert guess() == 403


@pytest.mark.parametrize("changes", [{"password": "short"}, {"public_key": {}}, {"public_key": {"keyid": "x", "keytype": "rsa"}}])
def test_a_weak_password_or_no_key_is_refused_and_the_claim_stays(studio, changes):
    studio.set_up("digits")
    token = studio.make_claim("pi-1")
    response = studio.client.post("/v1/enroll", content=encode(request_of(token, **changes)), headers={"content-type": "application/json"})
    assert response.status_code in {400, 422}
    enrol_device(studio, "pi-1", token=token)


def test_a_claim_needs_a_root_a_near_expiry_and_a_fresh_id(studio, client):
    claim = ClaimRequest("c-1", "0" * 64, "pi-1", "2999-01-01T00:00:00Z")
    assert "no TUF root" in studio.post("/v1/claims", claim).json()["error"]
    studio.set_up("digits")
    assert "90 days" in studio.post("/v1/claims", claim).json()["error"]
    assert "not a time" in studio.post("/v1/claims", msgspec.structs.replace(claim, expires_at="soon")).json()["error"]
    good = msgspec.structs.replace(claim, expires_at="2027-01-01T00:00:00Z")
    for expected in (201, 409):
        import datetime

        soon = (datetime.datetime.now(tz=datetime.timezone.utc) + datetime.timedelta(hours=1)).isoformat()
        assert studio.post("/v1/claims", msgspec.structs.replace(good, expires_at=soon)).status_code == expected


def test_a_device_enrolled_again_has_new_credentials_and_keeps_its_wish(studio, floor):
    studio.set_up("digits")
    first = enrol_device(studio, "pi-1")
    studio.client.post("/v1/devices/pi-1/revoke")
    assert not floor.credentials.is_device("pi-1", "p" * 40)
    enrol_device(studio, "pi-1")
    assert floor.credentials.is_device("pi-1", "p" * 40)
    assert studio.client.get("/v1/server", headers={"authorization": first}).status_code == 200
    assert studio.client.get("/v1/devices/pi-1").json().get("revoked", False) is False


def test_credentials_follow_the_database(floor, fleet):
    assert floor.credentials.list_verifiers() == {}
    fleet("pi-1", "pi-2")
    assert set(floor.credentials.list_verifiers()) == {"pi-1", "pi-2"}
    assert set(Credentials(floor.database).list_verifiers()) == {"pi-1", "pi-2"}
    assert floor.credentials.find_verifier("pi-3") is None
    assert not floor.credentials.is_device("pi-1", "wrong")


def test_the_operators_token_is_made_once_and_kept_from_others(tmp_path):
    path = tmp_path / "operator.token"
    token = open_operator_token(path)
    assert len(token) >= 40
    assert path.stat().st_mode & 0o777 == 0o600
    assert open_operator_token(path) == token
    path.chmod(0o644)
    with pytest.raises(SetupError, match="read by others"):
        open_operator_token(path)
