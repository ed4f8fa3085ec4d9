"""What the fuzz runs found, one by one."""

import asyncio
import io
import threading
import zipfile
from pathlib import Path

import msgspec
import numpy as np
import pytest

from contract.application import Application
from contract.codec import decode, encode
from contract.errors import ContractError, FormatError, PackageError
from contract.manifest import FileEntry
from contract.messages import DESIRED_PAYLOAD_TYPE
from contract.package import extract_archive
from contract.signing import generate_key, public_key_from_dict, public_key_to_dict, sign_document, verify_document
from contract.sketches import Histogram
from contract.topics import Channel
from edge_agent.engine.errors import InputError
from edge_agent.engine.sample_files import read_arrays
from edge_agent.fleet_link import FleetLink, LinkAccount, LinkError
from edge_agent.http_client import HttpError, ServerHttp
from edge_agent.update.disk import REAL_DISK
from edge_agent.update.downloads import DownloadError, Patience, Wanted, fetch_file
from edge_agent.worker.messages import decode_from_worker, decode_request, decode_to_worker
from edge_agent.worker.shadow_frames import ArrayHead, PairHead, decode_pair
from tests.edge_agent.fuzz.sockets import CONNACK, SUBACK, _Heard, _publish, answering

KEY = generate_key()
_APPLICATION = {"name": "a", "version": 1, "model": "m", "source": {"kind": "folder"}, "sinks": []}


def test_a_name_that_is_a_file_and_a_folder_in_one_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "one.eyelet", "w") as zipped:
        zipped.writestr("a", b"x")
        zipped.writestr("a/b", b"x")
    with pytest.raises(PackageError, match="a/b as a file and as a folder"):
        extract_archive(tmp_path / "one.eyelet", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("signature", [5, {"keyid": 5, "sig": "x"}, {"keyid": "x", "sig": None}, {}])
def test_an_envelope_whose_signature_is_of_another_type(signature: object) -> None:
    envelope = msgspec.json.decode(sign_document(b"{}", DESIRED_PAYLOAD_TYPE, KEY))
    envelope["signatures"] = [signature]
    with pytest.raises(FormatError, match="no DSSE envelope"):
        verify_document(encode(envelope), DESIRED_PAYLOAD_TYPE, {"director": KEY.public})


def test_a_refusal_does_not_repeat_a_document_of_any_length() -> None:
    with pytest.raises(FormatError) as refused:
        decode(encode({"schema_version": 1, "x" * 100_000: 1, **_APPLICATION}), Application, "the application")
    assert len(str(refused.value)) < 400


def test_an_array_file_whose_head_is_no_python(tmp_path: Path) -> None:
    body = io.BytesIO()
    np.savez(body, x=np.zeros(3))
    data = body.getvalue().replace(b"'fortran_order'", b"'fortran_order\\")
    (tmp_path / "x.npz").write_bytes(data)
    with pytest.raises(InputError, match="no usable"):
        read_arrays(tmp_path / "x.npz", 1 << 20)


@pytest.mark.parametrize("read", [decode_from_worker, decode_to_worker, decode_request], ids=lambda read: read.__name__)
def test_a_line_as_deep_as_a_well(read: object) -> None:
    with pytest.raises(ContractError):
        read(b'{"type":"pong","id":' + b"[" * 5000 + b"]" * 5000 + b',"completed":1}')  # type: ignore[operator]


@pytest.mark.parametrize("count", [-1, 1 << 54, 10**30])
def test_a_count_that_no_device_comes_to(count: int) -> None:
    with pytest.raises(FormatError):
        decode(encode({"bounds": [1.0], "counts": [0, count]}), Histogram, "the histogram")


NEGATIVE_CHUNK = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1d\r\n\r\n5\r\nhello\r\n0\r\n\r\n"


def test_a_chunk_of_less_than_nothing() -> None:
    with answering() as server:
        server.answer = NEGATIVE_CHUNK  # type: ignore[attr-defined]
        http = ServerHttp(f"http://127.0.0.1:{server.server_address[1]}")
        with pytest.raises(HttpError, match="broke off"):
            http.get("/", 1000)
        server.answer = NEGATIVE_CHUNK.replace(b"200 OK", b"503 No")  # type: ignore[attr-defined]
        with pytest.raises(HttpError, match="status 503"):
            http.get("/", 1000)
        http.close()


def test_a_download_in_such_chunks_is_given_up(tmp_path: Path) -> None:
    wanted = Wanted("/x", FileEntry("0" * 64, 10), tmp_path / "whole", tmp_path / "partial")
    with answering() as server:
        server.answer = NEGATIVE_CHUNK  # type: ignore[attr-defined]
        http = ServerHttp(f"http://127.0.0.1:{server.server_address[1]}")
        with pytest.raises(DownloadError):
            fetch_file(http, wanted, cancelled=threading.Event(), patience=Patience(0.2, 0.02, 0.05), disk=REAL_DISK)
        http.close()


def session(answer: bytes) -> tuple[str, _Heard]:
    """How a session with a broker that says this ends, and what was heard in it."""
    heard = _Heard()

    async def run(port: int) -> None:
        account = LinkAccount(f"mqtt://127.0.0.1:{port}", "home", "d1", "password", "boot")
        await asyncio.wait_for(FleetLink(account, heard)._serve_session(1), 20)

    with answering() as server:
        server.answer = answer  # type: ignore[attr-defined]
        with pytest.raises(LinkError) as ended:
            asyncio.run(run(server.server_address[1]))
    return str(ended.value), heard


def test_a_packet_that_the_client_stumbles_over_ends_the_session_at_once() -> None:
    packet = _publish(Channel.DESIRED, b"{}").replace(b"desired", b"d\xff\xfeired")
    words, _ = session(CONNACK + SUBACK + packet)
    assert "the broker speaks nonsense: UnicodeDecodeError" in words


def test_a_message_of_another_device_or_topic_is_not_heard() -> None:
    own = _publish(Channel.DESIRED, b"{}", 0)
    words, heard = session(CONNACK + SUBACK + own.replace(b"/d1/", b"/d2/") + own.replace(b"/v1/", b"/v9/") + own)
    assert [channel for channel, _ in heard.messages] == [Channel.DESIRED]
    assert "ended" in words


def test_a_key_whose_scheme_fills_a_page() -> None:
    with pytest.raises(FormatError) as refused:
        public_key_from_dict({**public_key_to_dict(KEY.public), "scheme": "x" * 10_000})
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize("dtype", ["3>=,", "(99999999999999,)f8", "f8,(((", "O"])
def test_a_pair_whose_dtype_is_no_python(dtype: str) -> None:
    head = PairHead("x", 1.0, [1.0], 1.0, "", "", 0, (ArrayHead("x", dtype, (1,)),))
    with pytest.raises(FormatError, match="can not be read"):
        decode_pair(msgspec.msgpack.encode(head), bytes(8))
