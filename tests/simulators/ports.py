"""A port for a program that must be told one."""

import random
import socket


def find_free_port() -> int:
    """A TCP port on which nobody listens, below those that the system hands out to whoever asks for any, so nobody takes it meanwhile."""
    chance = random.SystemRandom()  # the tests' own chance is the same in every test process
    while True:
        port = chance.randrange(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
