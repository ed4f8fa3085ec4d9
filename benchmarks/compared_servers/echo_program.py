"""The least that a request costs on this machine: another process takes so many bytes and sends so many back, with nothing in between.

Beside a server's time it shows what of it is the machine's: copying through a socket, and being woken twice.
As a program, with the numbers of bytes as arguments, it prints the port on which it listens.
"""

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import NamedTuple

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"


class Echo(NamedTuple):
    """A running program."""

    port: int
    pid: int


def answer(connection: socket.socket, request_bytes: int, reply: bytes) -> None:
    """Until the client closes."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    view = memoryview(bytearray(request_bytes))
    while True:
        received = 0
        while received < request_bytes:
            count = connection.recv_into(view[received:])
            if not count:
                return
            received += count
        connection.sendall(reply)


def main(request_bytes: int, body_bytes: int) -> None:
    """One connection after the other, for good."""
    reply = _HEAD % body_bytes + bytes(body_bytes)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        print(listening.getsockname()[1], flush=True)
        while True:
            connection, _ = listening.accept()
            with connection:
                answer(connection, request_bytes, reply)


@contextlib.contextmanager
def running_echo(request_bytes: int, body_bytes: int) -> Iterator[Echo]:
    """The program as a process of its own."""
    command = [sys.executable, "-I", __file__, str(request_bytes), str(body_bytes)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield Echo(int(process.stdout.readline()), process.pid)
    finally:
        process.kill()
        process.communicate()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
