"""Who is let in: names of loopback, tokens, TLS."""

import asyncio
import contextlib
import datetime
import hashlib
import http.client
import ipaddress
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from contract.package import Package
from edge_agent.http_access import prepare_access
from edge_agent.listening import ListenError, Listening
from edge_agent.serving.access import AccessError, check_host, is_loopback_name, open_tls
from edge_agent.serving.http_messages import HttpError
from edge_agent.settings import Settings
from edge_agent.worker.messages import Access
from tests.edge_agent.serving.serving_thread import serving
from tests.edge_agent.serving.test_endpoint import IMAGE, ask, png
from tests.edge_agent.worker.test_process import request_for, running
from tests.simulators.packages import make_frames

TOKEN = "a-token-of-some-length"
TOKEN_SHA256 = hashlib.sha256(TOKEN.encode()).hexdigest()


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "LocalHost", "localhost.", "localhost:8480", "127.0.0.1", "127.0.0.1:80", "127.1", "127.255.0.9", "0x7f.1",
        "0177.0.0.1", "2130706433", "[::1]", "[::1]:8480", "[0:0:0:0:0:0:0:1]", "[::0001]", "[::ffff:127.0.0.1]", "[::FFFF:7f00:1]:1",
    ],
)  # fmt: skip
def test_every_spelling_of_loopback_is_let_in(host: str) -> None:
    assert is_loopback_name(host)
    check_host({"host": host, "origin": f"http://{host}"})


@pytest.mark.parametrize(
    "host",
    [
        "", "evil.example", "localhost.evil.example", "evil.example:80", "127.0.0.1.evil.example", "0.0.0.0", "192.168.0.1", "[::]",
        "[fe80::1]", "[::ffff:192.168.0.1]", "[::1", "::1", "[::1]x", "[::1]:x", "localhost:x", "localhost:123456",
        "localhost@evil.example", "localhost, evil.example",
        "127.0.0.1 evil.example", "127.0.0.1\tx", "1", "localhost..", "①②⑦.0.0.1", "localhost:80:90",
    ],
)  # fmt: skip
def test_every_other_name_is_not(host: str) -> None:
    assert not is_loopback_name(host)
    with pytest.raises(HttpError):
        check_host({"host": host})
    with pytest.raises(HttpError):
        check_host({"host": "localhost", "origin": f"http://{host}"})


class Certificate:
    """A certificate of its own authority for 127.0.0.1, made for the test."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "device")])
        now = datetime.datetime.now(datetime.timezone.utc)
        address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(1))
        builder = builder.not_valid_after(now + datetime.timedelta(1)).add_extension(address, critical=False)
        self.cert, self.key = folder / "cert.pem", folder / "key.pem"
        self.cert.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        plain = serialization.NoEncryption()
        self.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
        self.key.chmod(0o600)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def tls_port(package: Package, certificate: Certificate) -> Iterator[int]:
    """Bound to every address of this machine, with token and TLS."""
    access = Access(TOKEN_SHA256, str(certificate.cert), str(certificate.key))
    listening = socket.create_server(("0.0.0.0", 0))
    with serving(package, listening=listening, access=access, max_body_bytes=1 << 20) as port:
        yield port


def ask_tls(port: int, certificate: Certificate, headers: dict[str, str], body: bytes = b"") -> tuple[int, bytes, dict[str, str]]:
    context = ssl.create_default_context(cafile=str(certificate.cert))
    with contextlib.closing(http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)) as connection:
        connection.request("POST" if body else "GET", "/predict" if body else "/v2", body, headers)
        with connection.getresponse() as answer:
            return answer.status, answer.read(), dict(answer.headers)


@pytest.mark.parametrize(
    ("authorization", "state"),
    [
        (None, 401),
        ("", 401),
        ("Bearer", 401),
        (f"Bearer {TOKEN}x", 401),
        (f"Basic {TOKEN}", 401),
        (f"Bearer {TOKEN}", 200),
        (f"bearer  {TOKEN} ", 200),
    ],
)
def test_beyond_loopback_only_the_token_opens(tls_port: int, certificate: Certificate, authorization: str | None, state: int) -> None:
    headers = {"Host": "device.example"} | ({} if authorization is None else {"Authorization": authorization})
    found, _, answered = ask_tls(tls_port, certificate, headers)
    assert found == state
    assert ("WWW-Authenticate" in answered) is (state == 401)


def test_a_large_body_comes_through_tls_and_is_answered(tls_port: int, certificate: Certificate) -> None:
    import numpy as np

    frame = np.random.default_rng(1).integers(0, 256, (400, 500, 3)).astype(np.uint8)
    headers = {"Authorization": f"Bearer {TOKEN}", **IMAGE}
    body = png(frame)
    assert len(body) > 200_000
    assert ask_tls(tls_port, certificate, headers, body)[0] == 200
    assert ask_tls(tls_port, certificate, headers, bytes(2 << 20))[0] == 413


def test_what_is_no_tls_gets_nothing_and_does_no_harm(tls_port: int, certificate: Certificate) -> None:
    for data in (b"GET /v2 HTTP/1.1\r\nHost: localhost\r\n\r\n", bytes(100), b"\x16\x03\x01\xff\xff" + bytes(50)):
        with contextlib.suppress(ConnectionError), socket.create_connection(("127.0.0.1", tls_port), timeout=5) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            assert b"200 OK" not in connection.recv(1000)
    assert ask_tls(tls_port, certificate, {"Authorization": f"Bearer {TOKEN}"})[0] == 200


def test_a_token_on_loopback_is_asked_for_after_the_host(package: Package) -> None:
    with serving(package, access=Access(TOKEN_SHA256)) as port:
        body = png(make_frames(1, 8)[0][0])
        assert ask(port, "POST", "/predict", body, IMAGE)[0] == 401
        assert ask(port, "GET", "/metrics")[0] == 401
        assert ask(port, "POST", "/predict", body, {**IMAGE, "Authorization": f"Bearer {TOKEN}"})[0] == 200
        assert ask(port, "POST", "/predict", body, {"Host": "evil.example", "Authorization": f"Bearer {TOKEN}"})[0] == 421


@pytest.mark.parametrize("access", [Access(), Access(TOKEN_SHA256), Access("", "cert.pem", "key.pem")])
def test_a_worker_never_serves_beyond_loopback_without_both(access: Access) -> None:
    with socket.create_server(("0.0.0.0", 0)) as listening, pytest.raises(AccessError, match="needs a token and TLS"):
        open_tls(listening, access)


def test_a_worker_process_guards_the_socket_it_was_handed(package: Package, certificate: Certificate) -> None:
    access = Access(TOKEN_SHA256, str(certificate.cert), str(certificate.key))

    async def story(listening: socket.socket) -> tuple[int, int]:
        async with running(request_for(package, sockets=(listening.fileno(),), access=access)):
            port = listening.getsockname()[1]
            known = await asyncio.to_thread(ask_tls, port, certificate, {"Authorization": f"Bearer {TOKEN}"})
            unknown = await asyncio.to_thread(ask_tls, port, certificate, {})
            return known[0], unknown[0]

    with socket.create_server(("0.0.0.0", 0)) as listening:
        listening.setblocking(False)
        assert asyncio.run(story(listening)) == (200, 401)


# The settings


def beyond(certificate: Certificate, **changes: str) -> Settings:
    values = {
        "http_host": "0.0.0.0",
        "http_token_file": "secrets/http.token",
        "tls_cert": str(certificate.cert),
        "tls_key": str(certificate.key),
    }
    return Settings(**{**values, **changes})  # type: ignore[arg-type]


def test_the_token_is_made_once_for_its_owner_only(tmp_path: Path, certificate: Certificate) -> None:
    access = prepare_access(beyond(certificate), tmp_path)
    file = tmp_path / "secrets" / "http.token"
    assert file.stat().st_mode & 0o777 == 0o600
    assert hashlib.sha256(file.read_bytes().strip()).hexdigest() == access.token_sha256
    assert len(file.read_bytes()) > 40
    assert prepare_access(beyond(certificate), tmp_path) == access
    listening = Listening(0, tmp_path / "s", "0.0.0.0", access)
    assert listening.url.startswith("https://127.0.0.1:")
    listening.close()


def test_without_settings_loopback_is_open_as_ever(tmp_path: Path) -> None:
    assert prepare_access(Settings(), tmp_path) == Access()
    assert prepare_access(Settings(http_host="::1"), tmp_path) == Access()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"http_token_file": ""}, "http_token_file must be set"),
        ({"tls_cert": "", "tls_key": ""}, "tls_cert and tls_key must be set"),
        ({"tls_key": ""}, "belong together"),
        ({"http_host": "example.org"}, "is an address"),
        ({"http_host": "::ffff:10.0.0.1", "http_token_file": ""}, "must be set"),
        ({"tls_cert": "nowhere.pem"}, "nowhere.pem is not there"),
    ],
)
def test_the_agent_does_not_start_half_guarded(tmp_path: Path, certificate: Certificate, changes: dict[str, str], words: str) -> None:
    with pytest.raises(ListenError, match=words):
        prepare_access(beyond(certificate, **changes), tmp_path)


@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [
        (TOKEN, 0o640, "read by others"),
        (TOKEN, 0o604, "read by others"),
        ("short", 0o600, "must hold"),
        ("two words of it all", 0o600, "must hold"),
    ],
)
def test_a_token_that_is_known_or_guessed_is_refused(tmp_path: Path, certificate: Certificate, text: str, mode: int, words: str) -> None:
    (tmp_path / "token").write_text(text)
    (tmp_path / "token").chmod(mode)
    with pytest.raises(ListenError, match=words):
        prepare_access(beyond(certificate, http_token_file="token"), tmp_path)


def test_a_key_that_everyone_reads_is_refused(tmp_path: Path) -> None:
    own = Certificate(tmp_path / "own")
    own.key.chmod(0o644)
    with pytest.raises(ListenError, match="chmod 600"):
        prepare_access(beyond(own), tmp_path)


def test_a_socket_path_that_is_too_long_is_said_and_tcp_answers(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    listening = Listening(0, tmp_path / ("x" * 110))
    assert "at most 100 bytes" in caplog.text
    assert (len(listening.descriptors), listening.unix_path) == (1, None)
    listening.close()
