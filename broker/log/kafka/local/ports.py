"""Ports that stay the cluster's own while a broker is down."""

from __future__ import annotations

import random
import socket
import sys
from dataclasses import dataclass, field

from broker.log.kafka.local.errors import LocalKafkaError
from broker.log.kafka.local.properties import HOST

# Below what Linux (32768) and others hand out to outgoing connections: a client that dials a stopped broker's
# port again and again could otherwise be given that very port, and hold it.
_PORTS = range(20000, 30000)


@dataclass(slots=True)
class Ports:
    """Ports taken for a broker, which may yet listen on them.

    On Linux they stay bound, without listening, beside a broker that comes and goes: a stopped broker's port refuses
    whoever calls, and nobody else gets it. It takes `SO_REUSEADDR` on both sides, and Java sets it. Elsewhere they
    are only looked at.
    """

    taken: list[int] = field(default_factory=list)
    _held: list[socket.socket] = field(default_factory=list)

    def take(self, port: int = 0) -> int:
        """This port, or any that is free for 0. Raises LocalKafkaError if it is another's."""
        for candidate in [port] if port else random.sample(_PORTS, len(_PORTS)):
            if candidate not in self.taken and self._hold(candidate, strictly=not port):
                self.taken.append(candidate)
                return candidate
        raise LocalKafkaError(
            f"Port {port} on {HOST} is taken: stop what listens there, or name another"
            if port
            else f"No free port on {HOST} from {_PORTS.start} to {_PORTS.stop - 1}"
        )

    def release(self) -> None:
        for one in self._held:
            one.close()
        self._held.clear()
        self.taken.clear()

    def _hold(self, port: int, *, strictly: bool) -> bool:
        """A strict probe finds out another's claim too, but takes one's own last connections for a stranger's."""
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
