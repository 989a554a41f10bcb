"""Ports on the loopback for the processes of a demo, or of a test."""

from __future__ import annotations

import random
import socket

HOST = "127.0.0.1"
PORTS = range(11_000, 19_900)
"""Below what systems hand out to outgoing connections, since whoever dials a server that is down, or any other at all,
may be given its port; and apart from the ports of embedded servers.
"""


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on at this moment; `OSError` where there are not so many."""
    found: list[int] = []
    for port in random.SystemRandom().sample(PORTS, len(PORTS)):
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise OSError(f"no {count} free ports from {PORTS.start} to {PORTS.stop}")
