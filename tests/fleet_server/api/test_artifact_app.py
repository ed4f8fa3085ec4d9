import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.files import sha256_of
from fleet_server.api.ranges import UnsatisfiableRangeError, byte_range

DATA = bytes(range(200))
URL = f"/v1/artifacts/{sha256_of(DATA)}"


@pytest.fixture
def stored(client):
    assert client.put(URL, content=DATA).status_code == 201
    return client


RANGES = [
    ("bytes=0-9", 206, DATA[:10]),
    ("bytes=190-", 206, DATA[190:]),
    ("bytes=-10", 206, DATA[-10:]),
    ("bytes=-500", 206, DATA),
    ("bytes=0-9999", 206, DATA),
    ("bytes=199-199", 206, DATA[199:]),
    ("bytes=200-", 416, None),
    ("bytes=-0", 416, None),
    ("bytes=5-2", 200, DATA),
    ("bytes=0-1,5-9", 200, DATA),
    ("bytes=-", 200, DATA),
    ("lines=1-2", 200, DATA),
    ("bytes=99999999999999999999999-", 200, DATA),
]


def test_ranges(stored):
    for header, code, body in RANGES:
        response = stored.get(URL, headers={"range": header})
        assert response.status_code == code, header
        if body is not None:
            assert response.content == body, header
            assert response.headers["content-length"] == str(len(body))
        if code == 206:
            assert response.headers["content-range"].endswith("/200")
        if code == 416:
            assert response.headers["content-range"] == "bytes */200"


def test_a_download_that_was_cut_off_goes_on_only_if_the_file_is_the_same(stored):
    etag = stored.get(URL).headers["etag"]
    rest = stored.get(URL, headers={"range": "bytes=100-", "if-range": etag})
    assert (rest.status_code, rest.content) == (206, DATA[100:])
    other = stored.get(URL, headers={"range": "bytes=100-", "if-range": '"other"'})
    assert (other.status_code, other.content) == (200, DATA)
    assert stored.get(URL, headers={"if-none-match": etag}).status_code == 304


def test_head_says_length_without_body(stored):
    response = stored.head(URL)
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-length"] == "200"
    assert response.headers["accept-ranges"] == "bytes"
    assert stored.head("/v1/artifacts/" + "0" * 64).status_code == 404


def test_the_same_upload_again_is_fine_and_another_body_is_not(stored, floor):
    assert stored.put(URL, content=DATA).status_code == 200
    response = stored.put(URL, content=b"other")
    assert response.status_code == 422
    assert "SHA-256" in response.json()["error"]
    assert stored.get(URL).content == DATA
    assert [path.name for path in floor.artifacts.folder.rglob("*") if path.is_file()] == [sha256_of(DATA)]


def test_a_body_that_says_it_is_too_large_is_refused_at_once(client):
    response = client.put(URL, content=b"x", headers={"content-length": str(9 << 30)})
    assert response.status_code == 413


def test_a_name_that_is_no_digest_is_refused(client):
    for name in ("x", "..%2f..%2fkeys%2fonline.pem", "0" * 65, "A" * 64, ""):
        assert client.get(f"/v1/artifacts/{name}").status_code in {404, 422}
        assert client.put(f"/v1/artifacts/{name}", content=b"x").status_code in {404, 422}


def test_other_methods_are_not_possible(stored):
    assert stored.delete(URL).status_code == 405


def test_an_empty_artifact_is_an_artifact(client):
    url = f"/v1/artifacts/{sha256_of(b'')}"
    client.put(url, content=b"").raise_for_status()
    assert client.get(url).content == b""
    assert client.get(url, headers={"range": "bytes=0-"}).status_code == 416


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.text(max_size=30), st.from_regex(r"bytes=\d{0,4}-\d{0,4}", fullmatch=True)), st.integers(0, 500))
def test_any_range_lies_within_the_file(header, size):
    try:
        found = byte_range(header, size)
    except UnsatisfiableRangeError:
        return
    if found is not None:
        assert 0 <= found[0] <= found[1] < size
