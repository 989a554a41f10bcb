"""Ports on the loopback for the processes of a demo, or of a test."""

from __future__ import annotations

from itertools import islice

from backends.embedded import ports

PORTS = range(11_000, 19_900)
"""Below what systems hand out to outgoing connections, since whoever dials a server that is down, or any other at all,
may be given its port; and apart from the ports of embedded servers.
"""


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on at this moment; `OSError` where there are not so many."""
    found = list(islice(ports.free_ports(PORTS), count))
    if len(found) < count:
        raise OSError(f"no {count} free ports from {PORTS.start} to {PORTS.stop}")
    return found
