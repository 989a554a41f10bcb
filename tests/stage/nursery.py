"""Starts processes by forking one that has everything imported: in a hundredth of the time, so that many can be killed.

A client sends a line of JSON for each process and is told its id, and its exit code when it ends. What a client
started ends with the client.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import traceback
from collections import deque
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import broker.log.kafka
import broker.run  # noqa: F401 - both are imported here for all the processes to come
from tests.stage import doomed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Mapping, Sequence

_REPOSITORY = Path(__file__).parents[2]


# --- the process that forks ---


@dataclass(slots=True)
class _Server:
    """Waits in one thread for clients, orders and deaths."""

    listener: socket.socket
    deaths: socket.socket
    selector: selectors.DefaultSelector = field(default_factory=selectors.DefaultSelector)
    clients: dict[socket.socket, bytes] = field(default_factory=dict)
    children: dict[int, socket.socket] = field(default_factory=dict)

    def serve(self) -> None:
        """Until whoever started it closes its standard input."""
        for one in (self.listener, self.deaths, sys.stdin):
            self.selector.register(one, selectors.EVENT_READ)
        while True:
            for key, _ in self.selector.select():
                if key.fileobj is sys.stdin:
                    return
                self._attend(key.fileobj)

    def _attend(self, source: Any) -> None:  # noqa: ANN401 - what a selector calls a file
        if source is self.listener:
            client, _ = self.listener.accept()
            self.clients[client] = b""
            self.selector.register(client, selectors.EVENT_READ)
        elif source is self.deaths:
            self.deaths.recv(4096)
            self._reap()
        elif source in self.clients:
            self._hear(source)

    def _hear(self, client: socket.socket) -> None:
        data = client.recv(65_536)
        if not data:
            self._leave(client)
            return
        *lines, self.clients[client] = (self.clients[client] + data).split(b"\n")
        for line in lines:
            child = self._fork(json.loads(line))
            self.children[child] = client
            _tell(client, {"started": child})

    def _leave(self, client: socket.socket) -> None:
        self.selector.unregister(client)
        del self.clients[client]
        client.close()
        for child in [child for child, owner in self.children.items() if owner is client]:
            os.kill(child, signal.SIGKILL)

    def _reap(self) -> None:
        while self.children:
            child, status = os.waitpid(-1, os.WNOHANG)
            if not child:
                return
            owner = self.children.pop(child)
            if owner in self.clients:
                _tell(owner, {"ended": child, "code": os.waitstatus_to_exitcode(status)})

    def _fork(self, order: Mapping[str, Any]) -> int:
        child = os.fork()
        if child == 0:
            for one in (self.listener, self.deaths, *self.clients):
                one.close()
            _become(order)
        return child


def _tell(client: socket.socket, message: Mapping[str, int]) -> None:
    with contextlib.suppress(BrokenPipeError):
        client.sendall(json.dumps(message).encode() + b"\n")


def _become(order: Mapping[str, Any]) -> NoReturn:
    """Is the process that was ordered, to its end."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for descriptor in (1, 2):
            os.dup2(log, descriptor)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.environ.clear()
        os.environ.update(order["environment"])
        code = doomed.main(order["arguments"])
    except BaseException:  # noqa: BLE001 - nothing of the child may get past the fork
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def main(path: str) -> None:
    """Serves at the socket `path`."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    deaths, waker = socket.socketpair()
    waker.setblocking(False)
    signal.set_wakeup_fd(waker.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    gc.freeze()
    print("ready", flush=True)  # noqa: T201 - whoever started it waits for this
    server = _Server(listener, deaths)
    try:
        server.serve()
    finally:
        for child in server.children:
            os.kill(child, signal.SIGKILL)


# --- those who want processes ---


@dataclass(slots=True, kw_only=True)
class Child:
    """A process that the nursery forked."""

    process_id: int
    ended: asyncio.Future[int]

    def send(self, number: signal.Signals) -> None:
        if not self.ended.done():
            os.kill(self.process_id, number)


@dataclass(slots=True)
class Nursery:
    """A client's side; belongs to the event loop that it was opened in."""

    _writer: asyncio.StreamWriter
    _expected: deque[asyncio.Future[Child]] = field(default_factory=deque)
    _children: dict[int, Child] = field(default_factory=dict)

    async def start(self, arguments: Sequence[str], *, environment: Mapping[str, str], log: Path) -> Child:
        """Starts a process like `python -m tests.stage.doomed ARGUMENTS`, its output in `log`."""
        order = {"arguments": list(arguments), "environment": dict(environment), "log": str(log)}
        self._writer.write(json.dumps(order).encode() + b"\n")
        future: asyncio.Future[Child] = asyncio.get_running_loop().create_future()
        self._expected.append(future)
        return await future

    async def listen(self, reader: asyncio.StreamReader) -> None:
        """Hears what the nursery tells, until it is gone."""
        async for line in reader:
            told = json.loads(line)
            if "started" in told:
                child = Child(process_id=told["started"], ended=asyncio.get_running_loop().create_future())
                self._children[child.process_id] = child
                self._expected.popleft().set_result(child)
            else:
                self._children.pop(told["ended"]).ended.set_result(told["code"])


@asynccontextmanager
async def nursery_at(path: Path) -> AsyncGenerator[Nursery]:
    """Speaks to the nursery at that socket."""
    reader, writer = await asyncio.open_unix_connection(path)
    nursery = Nursery(writer)
    listening = asyncio.create_task(nursery.listen(reader))
    try:
        yield nursery
    finally:
        listening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await listening
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@contextmanager
def running_nursery(folder: Path) -> Generator[Path]:
    """Runs a nursery as long as the context lasts; the path of its socket."""
    path = folder / "nursery"
    process = subprocess.Popen(
        [sys.executable, "-c", f"from tests.stage import nursery; nursery.main({str(path)!r})"],
        cwd=_REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        try:
            if process.stdout is None or not process.stdout.readline():
                raise RuntimeError("the nursery did not start")
            yield path
        finally:
            process.terminate()
