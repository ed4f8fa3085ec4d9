"""HTTP with bounds, and the certificate that a claim token pins."""

import datetime
import http.server
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from edge_agent.http_client import HttpError, ServerHttp, fetch_pinned_ca


class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"x" * 1000 if self.path == "/large" else b"fine"
        self.send_response(302 if self.path == "/elsewhere" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Location", "http://127.0.0.1:1/")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for localhost, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(tz=datetime.timezone.utc)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(private + built.public_bytes(serialization.Encoding.PEM))
    path.with_suffix(".sha256").write_text(built.fingerprint(hashes.SHA256()).hex())
    return path


def serve(context: ssl.SSLContext | None) -> Iterator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  (a refused handshake is what some tests want)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def plain() -> Iterator[int]:
    yield from serve(None)


@pytest.fixture(scope="module")
def tls(certificate: Path) -> Iterator[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    yield from serve(context)


def test_an_answer_is_bounded_and_redirects_are_not_followed(plain: int) -> None:
    client = ServerHttp(f"http://127.0.0.1:{plain}/")
    assert client.get("/fine", 100)[0] == b"fine"
    with pytest.raises(HttpError, match="larger than the 100 bytes"):
        client.get("/large", 100)
    with pytest.raises(HttpError, match="status 302"):
        client.get("/elsewhere", 100)
    client.close()


def test_the_pinned_certificate_is_taken_and_trusted(tls: int, certificate: Path, tmp_path: Path) -> None:
    url, fingerprint = f"https://localhost:{tls}", certificate.with_suffix(".sha256").read_text()
    with pytest.raises(HttpError, match="can not be reached"):
        ServerHttp(url).get("/fine", 100)
    (tmp_path / "ca.pem").write_text(fetch_pinned_ca(url, fingerprint))
    client = ServerHttp(url, ca_file=tmp_path / "ca.pem")
    assert client.get("/fine", 100)[0] == b"fine"
    client.close()


def test_another_servers_certificate_is_refused(tls: int) -> None:
    with pytest.raises(HttpError, match="it is another server"):
        fetch_pinned_ca(f"https://localhost:{tls}", "0" * 64)
