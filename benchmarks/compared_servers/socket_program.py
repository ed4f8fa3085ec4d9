"""The least that two processes and a socket cost: no HTTP, no checks; fixed bytes in, scores out. Arguments: PORT REQUEST_BYTES.

It answers every so many bytes, whatever they are; the tensor is at their end.
"""

import socket
import sys

from benchmarks.compared_servers.one_thread import OneThreadModel, open_from_environment

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"


def answer(connection: socket.socket, model: OneThreadModel, view: memoryview) -> None:
    """Until the client closes."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while True:
        received = 0
        while received < len(view):
            count = connection.recv_into(view[received:])
            if not count:
                return
            received += count
        body = model.score_bytes(view[-model.input_bytes :]).tobytes()
        connection.sendall(_HEAD % len(body) + body)


def main(port: int, request_bytes: int) -> None:
    """One connection after the other."""
    model, view = open_from_environment(), memoryview(bytearray(request_bytes))
    with socket.create_server(("127.0.0.1", port)) as listening:
        while True:
            connection, _ = listening.accept()
            with connection:
                answer(connection, model, view)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
