"""A real MongoDB replica set in the life of one process: started, used, stopped, and gone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self
from urllib.parse import quote

from pymongo.errors import PyMongoError

from backends.embedded.account import server_account
from backends.embedded.folder import sweep
from backends.embedded.ports import Ports
from backends.mongo.embedded.home import Home
from backends.mongo.embedded.inside import answers, form, make_superuser, serves
from backends.mongo.embedded.kind import KIND, EmbeddedMongoError, usable_mongod
from backends.mongo.embedded.member import Member
from backends.mongo.embedded.options import ServerOptions, refuse_unfit, words

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path
    from types import TracebackType

SUPERUSER = "custody-superuser"
SET_NAME = "custody"
_HOLDER_TIMEOUT_SECONDS = 10.0
_POLL_SECONDS = 0.02


class EmbeddedMongo:
    """A replica set on 127.0.0.1, which lets nobody in without a password.

    It holds nothing that belongs to an event loop, so it may be used from several, one after another. On Linux its
    members end with the thread that started them.
    """

    def __init__(self, *, options: ServerOptions, program: Path, home: Home) -> None:
        self._options = options
        self._program = program
        self._home = home
        self._password = home.password()
        self._key = home.key_file.read_text()
        self._ports = Ports(KIND)
        self._closed = False
        self.members: tuple[Member, ...] = ()

    @classmethod
    async def start(cls, options: ServerOptions | None = None) -> Self:
        """Makes the set if need be, starts its members, and returns once it has a primary that takes the superuser.

        Raises:
            EmbeddedMongoError: the program is missing, the directory is held or unfit, a port is taken, or a member
                does not start; the message has the end of its log.
            SettingsError: the options name a parameter that is fixed here, or an even number of members.
        """
        options = options or ServerOptions()
        refuse_unfit(options)
        await asyncio.to_thread(sweep, KIND)
        account = server_account(KIND, options.run_as)
        program = await asyncio.to_thread(usable_mongod, account)
        home = await Home.claim(KIND, options.directory, account, timeout_seconds=_HOLDER_TIMEOUT_SECONDS)
        try:
            home.prepare(members=options.members)
            server = cls(options=options, program=program, home=home)
        except BaseException:
            home.release()
            raise
        try:
            await server._start()
        except BaseException:
            await server.close()
            raise
        return server

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"EmbeddedMongo(root={str(self._home.root)!r}, members={list(self.members)})"

    @property
    def root(self) -> Path:
        """The home folder: `member-N` with its data and `member-N.log` for each."""
        return self._home.root

    @property
    def running(self) -> bool:
        """Whether every member's process is there."""
        return bool(self.members) and all(one.running for one in self.members)

    def uri(self, database: str = "", user: str | None = None, password: str | None = None) -> str:
        """A `mongodb://` URI to a database, the superuser's unless another login of that database is given."""
        if (user is None) != (password is None):
            raise ValueError("a login is a user and a password: give both, or neither")
        login = f"{quote(user or SUPERUSER, safe='')}:{quote(password or self._password, safe='')}"
        hosts = ",".join(one.address for one in self.members)
        source = "&authSource=admin" if user is None else ""
        return f"mongodb://{login}@{hosts}/{quote(database, safe='')}?replicaSet={SET_NAME}{source}"

    async def primary(self) -> Member:
        """The member that leads now, once there is one. Raises EmbeddedMongoError when none comes to be."""
        found: list[Member] = []

        async def is_there() -> bool:
            found.extend(
                [one for one in self.members if one.running and await serves(one.address, self._key, leading=True)]
            )
            return bool(found)

        await self._wait(is_there, "elects no primary", *self.members)
        return found[0]

    async def stop(self) -> None:
        """Stops every member; what was acknowledged is there when they are started again."""
        await asyncio.gather(*(one.stop() for one in self.members))

    async def kill(self) -> None:
        """SIGKILL to every member."""
        await asyncio.gather(*(one.kill() for one in self.members))

    async def restart(self) -> None:
        """Stops the members that run, and starts all on the same ports and data. The URIs stay valid."""
        if self._closed:
            raise EmbeddedMongoError(f"The servers in {self.root} are closed: start others")
        await self.stop()
        await self._launch()

    async def close(self) -> None:
        """Stops the members, removes a temporary set, frees the directory. May be called again."""
        if self._closed:
            return
        self._closed = True
        try:
            await (self.kill() if self._home.temporary else self.stop())
        finally:
            self._ports.release()
            await asyncio.to_thread(self._home.release)

    async def _start(self) -> None:
        ports = self._take_ports()
        self.members = tuple(self._member(number, port) for number, port in enumerate(ports, start=1))
        await self._launch()
        self._home.note_ports(ports)

    async def _launch(self) -> None:
        for one in self.members:
            one.launch()
        for one in self.members:
            await self._wait(lambda one=one: answers(one.address, self._key), "gave no answer in time", one)  # type: ignore[misc]
        await self._form()
        await self._wait(self._has_superuser, "elects no primary", *self.members)
        for one in self.members:
            await self._serves(one)

    async def _form(self) -> None:
        try:
            await form(
                SET_NAME,
                [one.address for one in self.members],
                self._key,
                election_timeout_seconds=self._options.election_timeout_seconds,
            )
        except PyMongoError as error:
            what = f"forms no replica set ({type(error).__name__})"
            raise EmbeddedMongoError(self.members[0].said(what)) from None

    async def _has_superuser(self) -> bool:
        for one in self.members:
            try:
                if await make_superuser(one.address, self._key, user=SUPERUSER, password=self._password):
                    return True
            except PyMongoError:
                continue
        return False

    async def _serves(self, member: Member) -> None:
        await self._wait(lambda: serves(member.address, self._key), "neither leads nor follows", member)

    async def _wait(self, condition: Callable[[], Awaitable[bool]], what: str, *members: Member) -> None:
        """Until the condition holds. Raises EmbeddedMongoError when that takes too long, or no member is left."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._options.start_timeout_seconds
        while not await condition():
            if not any(one.running for one in members):
                raise EmbeddedMongoError(members[0].said("is not running"))
            if loop.time() > deadline:
                raise EmbeddedMongoError(members[0].said(what))
            await asyncio.sleep(_POLL_SECONDS)

    def _take_ports(self) -> Sequence[int]:
        """Those asked for, else those the members had, as far as they are free, else any."""
        count, before = self._options.members, self._home.ports()
        if self._options.port is not None:
            return [self._ports.take(self._options.port + index) for index in range(count)]
        if len(before) == count and all(self._ports.try_take(port) for port in before):
            return before
        self._ports.release()
        return [self._ports.take() for _ in range(count)]

    def _member(self, number: int, port: int) -> Member:
        home = self._home
        arguments = words(self._options, name=SET_NAME, port=port, data=home.data(number), key=home.key_file)
        return Member(
            number=number,
            port=port,
            log=home.log(number),
            command=home.account.command(self._program, *arguments),
            lock=home.lock,
            stop_timeout_seconds=self._options.stop_timeout_seconds,
            until_ready=self._serves,
        )
