"""Ports that stay the server's own while it is down."""

from __future__ import annotations

import random
import socket
import sys
from dataclasses import dataclass, field
from pathlib import Path

from backends.s3.embedded.errors import EmbeddedS3Error

HOST = "127.0.0.1"
# Below what Linux (32768) and others hand out to outgoing connections: a client that dials a stopped server's
# port again and again could otherwise be given that very port, and hold it.
_PORTS = range(20000, 30000)
# SeaweedFS offers gRPC on sockets of these names too, and no setting moves them.
_SOCKET_NAMES = tuple(f"/tmp/seaweedfs-{part}-grpc-{{}}.sock" for part in ("master", "volume", "filer", "s3"))  # noqa: S108 - as above


@dataclass(slots=True)
class Ports:
    """Ports taken for a server, which may yet listen on them.

    On Linux they stay bound, without listening, beside a server that comes and goes: a stopped server's port refuses
    whoever calls, and nobody else gets it. It takes `SO_REUSEADDR` on both sides, and Go sets it. Elsewhere they are
    only looked at.
    """

    taken: list[int] = field(default_factory=list)
    _held: list[socket.socket] = field(default_factory=list)

    def take(self, port: int = 0) -> int:
        """This port, or any that is free for 0. Raises EmbeddedS3Error if it is another's."""
        for candidate in [port] if port else random.sample(_PORTS, len(_PORTS)):
            if candidate not in self.taken and not _sockets(candidate) and self._hold(candidate, strictly=not port):
                self.taken.append(candidate)
                return candidate
        raise EmbeddedS3Error(
            f"Port {port} on {HOST} is taken: stop what listens there, or name another"
            if port
            else f"No free port on {HOST} from {_PORTS.start} to {_PORTS.stop - 1}"
        )

    def tidy(self) -> None:
        """Removes the sockets that a server left which was killed: the next would not start over another account's."""
        for port in self.taken:
            for path in _sockets(port):
                path.unlink(missing_ok=True)

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


def _sockets(port: int) -> list[Path]:
    return [path for name in _SOCKET_NAMES if (path := Path(name.format(port))).is_socket()]
