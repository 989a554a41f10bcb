"""Ports on the loopback that stay a server's own while it is down."""

from __future__ import annotations

import random
import socket
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from backends.embedded.account import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

HOST = "127.0.0.1"
# Below what Linux (32768) and others hand out to outgoing connections: a client that dials a stopped server's
# port again and again could otherwise be given that very port, and hold it.
PORTS = range(20000, 30000)


def free_ports(among: range) -> Iterator[int]:
    """Ports that nobody listens on at the moment they are drawn, in no order."""
    for port in random.SystemRandom().sample(among, len(among)):
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        yield port


def free_port(kind: Kind) -> int:
    """A port that nobody listens on at this moment. Another may take it first: the caller tries again."""
    for port in free_ports(PORTS):
        return port
    raise kind.error(f"No free port on {HOST} from {PORTS.start} to {PORTS.stop - 1}")


@dataclass(slots=True)
class Ports:
    """Ports taken for servers that set `SO_REUSEADDR`, which may yet listen on them.

    On Linux they stay bound, without listening, beside a server that comes and goes: a stopped server's port refuses
    whoever calls, and nobody else gets it. Elsewhere they are only looked at.
    """

    kind: Kind
    taken: list[int] = field(default_factory=list)
    _held: list[socket.socket] = field(default_factory=list)

    def take(self, port: int = 0) -> int:
        """This port, or any that is free for 0. Raises the kind's error if it is another's."""
        for candidate in [port] if port else random.sample(PORTS, len(PORTS)):
            if self.try_take(candidate, strictly=not port):
                return candidate
        raise self.kind.error(
            f"Port {port} on {HOST} is taken: stop what listens there, or name another"
            if port
            else f"No free port on {HOST} from {PORTS.start} to {PORTS.stop - 1}"
        )

    def try_take(self, port: int, *, strictly: bool = False) -> bool:
        """Whether the port could be had.

        A strict probe finds out another's claim too, but takes one's own last connections for a stranger's.
        """
        if port in self.taken or not self._hold(port, strictly=strictly):
            return False
        self.taken.append(port)
        return True

    def release(self) -> None:
        """Gives all of them up."""
        for one in self._held:
            one.close()
        self._held.clear()
        self.taken.clear()

    def _hold(self, port: int, *, strictly: bool) -> bool:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, not strictly)
            try:
                probe.bind((HOST, port))
            except OSError:
                return False
        if sys.platform != "linux":
            return True
        claim = socket.socket()
        claim.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            claim.bind((HOST, port))
        except OSError:
            claim.close()
            return False
        self._held.append(claim)
        return True
