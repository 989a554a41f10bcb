"""The flight of the canaries: through everything that can happen to a message, and what that may leave behind."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit

import aiohttp
import psutil

from backends.mongo.embedded import EmbeddedMongo
from backends.postgres.embedded import EmbeddedPostgres
from backends.s3.embedded import EmbeddedS3
from backends.s3.options import S3Options
from broker.demo.processes import answers, custody
from connectors.simulator.ids import Customer
from connectors.simulator.inbound import Asked, draft
from connectors.simulator.payloads import contents
from connectors.simulator.signing import SIGNATURE_HEADER, signature
from tests.stage.canaries import Canary
from tests.stage.columns import Column, mongo_columns, postgres_columns, s3_columns
from tests.stage.home import PROVIDER, TENANTS
from tests.stage.poison import cure, poison
from tests.stage.servers import ROLES
from tests.stage.stage import Stage

if TYPE_CHECKING:
    from broker.core.ports import KeptRecord
    from broker.demo.processes import Running
    from connectors.simulator.draft import Draft

PHONE, OTHER_PHONE, USER_ID = "27009418273645", "27005566778831", "ZA.90817263544536271809"
WRITER = Customer(user_id=USER_ID, phone=PHONE, name="Kanari Vogel-Xq7Zt2", username="@kanari.vogel.Xq7Zt2")
LONG_TEXT = "Langpiep-Bw3Gd7Nf"
"""Stands only in items that are too large for the log."""
TEXT, CAPTION, FILE = "Pieptext-Vm4Kp9Wd", "Untertitel-Jh6Tb3Qx", "Gutachten-Rz8Ls5Yc.pdf"
STRANGE_TYPE, STRANGE_FIELD, STRANGER = "zwitscher_nq5", "trillern_wd8", "918273645546372"

_TROUBLES = ("server_errors", "throttled", "unauthorized", "damaged_download", "expired_media_urls", "lost_answers")

Server: TypeAlias = EmbeddedPostgres | EmbeddedMongo | EmbeddedS3


@dataclass(slots=True)
class Aftermath:
    """What is left behind, by where it was found."""

    canaries: list[Canary] = field(default_factory=list)
    logs: dict[str, bytes] = field(default_factory=dict)
    server_logs: dict[str, bytes] = field(default_factory=dict)
    command_lines: dict[str, bytes] = field(default_factory=dict)
    answers: dict[str, bytes] = field(default_factory=dict)
    commands: dict[str, bytes] = field(default_factory=dict)
    columns: dict[Column, bytes] = field(default_factory=dict)


@dataclass(slots=True)
class Flight:
    """Sends canaries through everything, and gathers what they may have left behind.

    `servers` are those of the stage, which go down once; what they say of themselves is searched too.
    """

    stage: Stage
    servers: Mapping[str, Server]
    found: Aftermath = field(default_factory=Aftermath)

    async def flown(self) -> Aftermath:
        stage = self.stage
        environment = {"CUSTODY_SETTINGS": str(stage.home.settings_file)}
        log = stage.home.root / "workers.log"
        self._know_secrets()
        async with custody("workers", ("run",), log=log, environment=environment) as workers:
            await answers(workers, f"{stage.home.edge_url}/health/ready")
            await self._challenge()
            await self._speak()
            await self._be_troubled()
            await self._speak_at_length()
            await self._come_wrongly()
            await self._be_poison()
            await self._lose_the_server()
            await self._come_to_rest()
            await self._be_blocked()
            await self._command(workers)
            await self._ask_for_health()
            self._note_command_lines()
        await self._gather(log)
        return self.found

    def _know(self, **words: str | bytes) -> None:
        known = {name: word if isinstance(word, bytes) else word.encode() for name, word in words.items()}
        self.found.canaries += [Canary(name, word) for name, word in known.items()]

    def _know_secrets(self) -> None:
        app, number = self.stage.home.simulator.apps[0], self.stage.home.simulator.numbers[0]
        secrets = {
            "app secret": app.secret,
            "verify token": app.verify_token,
            "access token": number.access_token,
            "tenant key": self.stage.home.demo.secret(f"{TENANTS[0]}.key"),
            "database password": self.stage.servers.password,
        }
        if main := self.stage.options.layout.main:
            secrets["password of records"] = urlsplit(str(main.records["uri"])).password or ""
            secrets["password of MongoDB's superuser"] = urlsplit(str(main.records["admin_uri"])).password or ""
            secrets["secret key of blobs"] = str(main.blobs["secret_key"])
        self.found.canaries += [Canary(name, word.encode(), secret=True) for name, word in secrets.items()]

    # --- what happens ---

    async def _challenge(self) -> None:
        app = self.stage.home.simulator.apps[0]
        assert await self.stage.provider.subscribe(app.app_id) is None
        wrong = {"hub.mode": "subscribe", "hub.verify_token": f"{app.verify_token}x", "hub.challenge": TEXT}
        async with aiohttp.ClientSession() as session, session.get(self._hook(), params=wrong) as answer:
            assert answer.status == 403
            self.found.answers["challenge"] = await answer.read()

    async def _speak(self) -> None:
        """Everything a customer can send, and what comes of it."""
        compose = self.stage.provider.composer(self._account)
        photo, paper = compose.media("image/jpeg"), compose.media("application/pdf")
        first = compose.message(WRITER, contents.text(TEXT), redeliveries=1)
        echo = compose.echo(WRITER, contents.text(TEXT))
        sent: list[Draft] = [
            first,
            compose.message(WRITER, contents.image(photo, caption=CAPTION), redeliveries=1),
            compose.message(WRITER, contents.document(paper, filename=FILE, caption=CAPTION)),
            compose.message(WRITER, contents.contacts("Kanari", TEXT, OTHER_PHONE), group_id=TEXT),
            compose.message(WRITER, contents.location(1.0, 2.0, name=TEXT, address=CAPTION)),
            compose.message(WRITER, contents.flow_reply({"answer": TEXT}), reply_to=first.message_id),
            compose.message(WRITER, contents.edit(first.message_id, contents.text(CAPTION))),
            compose.message(WRITER, contents.reaction(first.message_id, TEXT)),
            compose.message(
                WRITER, contents.changed_number(name=WRITER.name, old=PHONE, new=OTHER_PHONE, user_id=USER_ID)
            ),
            compose.message(WRITER, contents.revoke(first.message_id)),
            compose.unsupported(compose.message(WRITER, contents.text(TEXT))),
            echo,
            self._verbatim({"type": STRANGE_TYPE, STRANGE_TYPE: {"body": TEXT}}),
            compose.lost(),
        ]
        for one in sent:
            await self.stage.provider.send(one)
        self._know(phone=PHONE, bsuid=USER_ID, name=WRITER.name, text=TEXT, caption=CAPTION, file_name=FILE)
        self._know(other_phone=OTHER_PHONE, username=WRITER.username or "", strange_type=STRANGE_TYPE)
        self._know(media_id=photo.media_id, paper_id=paper.media_id, photo_digest=photo.sha256)
        self._know(wamid=first.message_id, inside_wamid=_inside(first.message_id), echo=echo.message_id)

    async def _speak_at_length(self) -> None:
        """What is too large for the log: of a customer, and of nobody's account."""
        compose = self.stage.provider.composer(self._account)
        photo, long = compose.media("image/jpeg"), LONG_TEXT * 2_000
        await self.stage.provider.send(compose.message(WRITER, contents.text(long)))
        await self.stage.provider.send(compose.message(WRITER, contents.image(photo, caption=long)))
        message = {"from": PHONE, "id": f"wamid.{TEXT}", "type": "text", "text": {"body": long}}
        assert await self._post(self._body({"messages": [message]}, account=STRANGER)) == 200
        self._know(long_text=LONG_TEXT, long_media=photo.media_id)

    async def _be_troubled(self) -> None:
        """Media that can't be fetched at once, or at all, and deletes that go wrong."""
        compose = self.stage.provider.composer(self._account)
        self.stage.provider.misbehave(dict.fromkeys(_TROUBLES, 0.25) | {"wrong_digest": 0.5})
        for number in range(6):
            ref = compose.media("image/jpeg", gone=number == 0)
            self._know(**{f"troubled_media_{number}": ref.media_id})
            await self.stage.provider.send(compose.message(WRITER, contents.image(ref, caption=CAPTION)))
        await self.stage.until("all are fetched or lost", self._has_fetched)
        self.stage.provider.misbehave({}, reset=True)

    async def _has_fetched(self) -> bool:
        return not any("parts_open" in one or "under way" in one for one in await self.stage.pending())

    async def _come_wrongly(self) -> None:
        """Bodies that are not signed, not JSON, of no known shape, too large, or for somebody else."""
        message = {"from": PHONE, "id": f"wamid.{TEXT}", "type": "text", "text": {"body": TEXT}}
        known = self._body({"messages": [message]}, account=self._account)
        assert await self._post(known, key="wrong") == 401
        assert await self._post(b'{"text": "' + TEXT.encode() + b'", ') == 200
        assert await self._post(TEXT.encode() + b"\xff\x00\xed\xa0\x80") == 200
        assert await self._post(json.dumps({"object": TEXT, "entry": [{"id": PHONE, "changes": TEXT}]}).encode()) == 200
        assert await self._post(self._body({"messages": [{"id": [TEXT], "from": {"x": PHONE}, "type": 7}]})) == 200
        assert await self._post(self._body({"body": TEXT}, name=STRANGE_FIELD)) == 200
        assert await self._post(self._body({"messages": [message]}, account=STRANGER)) == 200
        assert await self._post(io.BytesIO(TEXT.encode() * 400_000)) == 413
        assert await self._post(known, app=TEXT) == 404
        await self._speak_no_http()
        self._know(strange_field=STRANGE_FIELD, stranger=STRANGER)

    async def _speak_no_http(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.stage.home.demo.ports.edge)
        writer.write(f"{TEXT} {PHONE}\r\nX-{CAPTION}\r\n\r\n".encode())
        self.found.answers["no HTTP"] = await reader.read(10_000)
        writer.close()

    async def _be_poison(self) -> None:
        """A record that the store refuses: the server's error quotes the whole row."""
        refused = self.stage.provider.composer(self._account).message(WRITER, contents.text(f"{TEXT} {FILE}"))
        key = self.stage.registry.tenants[TENANTS[0]].key
        record_id = key.record_id(
            provider=PROVIDER, account=self._account, kind="message", native_key=(refused.message_id,)
        )
        await poison(self.stage, [record_id])
        await self.stage.provider.send(refused)
        await self.stage.until("it is set aside", self._is_set_aside)
        await self._hear("dead list", "dead", "list", "--json")
        (dead,) = await self.stage.store.dead_letters()
        await self._hear("dead show", "dead", "show", f"{dead.topic}/{dead.partition}/{dead.offset}")
        await cure(self.stage)
        await self._hear("dead redrive", "dead", "redrive", "--all", "--reason", "mended")

    async def _is_set_aside(self) -> bool:
        return await self.stage.dead_letters() == 1 and bool(await self.stage.store.dead_letters())

    async def _lose_the_server(self) -> None:
        """All servers go down under load, and come back."""
        compose = self.stage.provider.composer(self._account)
        for number in range(40):
            await self.stage.provider.send(compose.message(WRITER, contents.text(f"{TEXT} {number}")))
            if number == 10:
                await asyncio.gather(*(one.kill() for one in self.servers.values()))
        await asyncio.gather(*(one.restart() for one in self.servers.values()))

    async def _be_blocked(self) -> None:
        """A deletion that the provider refuses."""
        self.stage.provider.misbehave({"unauthorized": 1.0}, reset=True)
        compose = self.stage.provider.composer(self._account)
        ref = compose.media("image/jpeg")
        self._know(blocked_media=ref.media_id)
        await self.stage.provider.send(compose.message(WRITER, contents.image(ref)))
        await self.stage.until("it is blocked", self._is_blocked)
        await self._hear("blocked list", "blocked", "list", "--json")
        self.stage.provider.misbehave({}, reset=True)
        await self._hear("blocked release", "blocked", "release", "--all", "--reason", "renewed")
        await self._come_to_rest()

    async def _is_blocked(self) -> bool:
        return "blocked" in [one.state async for one in self.stage.store.targets(TENANTS[0])]

    async def _come_to_rest(self) -> None:
        """Everything closes but for strangers' bodies. The provider does not know of what was posted beside it."""
        await self.stage.until("all else is done", self._is_at_rest)

    async def _is_at_rest(self) -> bool:
        problems = await self.stage.pending()
        if any("open" in one for one in problems):
            await self.stage.unblock()
        return all(one.endswith("unclaimed") for one in problems)

    # --- what is gathered ---

    async def _hear(self, name: str, *arguments: str) -> None:
        """What a command says. Nothing is shown without --content."""
        code, said = await self.stage.command(*arguments)
        assert code in {0, 4}, said
        self.found.commands[name] = said

    async def _command(self, workers: Running) -> None:
        record = await self._kept_with_a_part()
        conversation = record.record.envelope.conversation
        for command in (
            "report",
            "report --json",
            "report --verify",
            "check --json",
            "check --offline --json",
            "lag --json",
            "account list --json",
            "account check",
            "tenant list",
        ):
            await self._hear(command, *command.split())
        await self._hear("show record", "show", record.record_id)
        await self._hear("show conversation", "show", conversation, "--json")
        workers.check()

    async def _kept_with_a_part(self) -> KeptRecord:
        async for part in self.stage.store.kept_parts(TENANTS[0]):
            if (found := await self.stage.store.record(TENANTS[0], part.record_id)) is not None:
                return found
        raise AssertionError("no part is kept")

    async def _ask_for_health(self) -> None:
        async with aiohttp.ClientSession() as session:
            for path in ("live", "ready", "workers"):
                async with session.get(f"{self.stage.home.edge_url}/health/{path}") as answer:
                    self.found.answers[path] = await answer.read()

    def _note_command_lines(self) -> None:
        """Of every process that this one started, Postgres' titles included."""
        for process in psutil.Process().children(recursive=True):
            line = Path(f"/proc/{process.pid}/cmdline").read_bytes()
            self.found.command_lines[str(process.pid)] = line

    async def _gather(self, log: Path) -> None:
        self.found.logs = {log.name: log.read_bytes()}
        self.found.server_logs = {name: _said(one) for name, one in self.servers.items()}
        for role in ROLES:
            self.found.columns |= await postgres_columns(self.stage.servers.admin_dsn(role))
        if main := self.stage.options.layout.main:
            self.found.columns |= await mongo_columns(str(main.records["admin_uri"]))
            self.found.columns |= await s3_columns(S3Options(**main.blobs))

    # --- bodies ---

    @property
    def _account(self) -> str:
        return self.stage.home.account(TENANTS[0])

    def _hook(self, app: str = f"{TENANTS[0]}-app") -> str:
        return f"{self.stage.home.edge_url}/webhooks/{PROVIDER}/{app}"

    def _body(self, value: Mapping[str, object], *, account: str | None = None, name: str = "messages") -> bytes:
        number = self.stage.home.simulator.numbers[0]
        metadata = {"display_phone_number": PHONE, "phone_number_id": account or self._account}
        change = {"field": name, "value": {"messaging_product": "whatsapp", "metadata": metadata, **value}}
        group = number.waba_id if account in {None, self._account} else f"{STRANGER}9"
        return json.dumps(
            {"object": "whatsapp_business_account", "entry": [{"id": group, "changes": [change]}]}
        ).encode()

    async def _post(self, body: bytes | io.BytesIO, *, key: str | None = None, app: str | None = None) -> int:
        raw = body.getvalue() if isinstance(body, io.BytesIO) else body
        headers = {SIGNATURE_HEADER: signature(key or self.stage.home.simulator.apps[0].secret, raw)}
        url = self._hook(app) if app else self._hook()
        async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=headers) as answer:
            self.found.answers[f"post {len(self.found.answers)}"] = repr(answer.headers).encode() + await answer.read()
            return answer.status

    def _verbatim(self, item: dict[str, object]) -> Draft:
        compose = self.stage.provider.composer(self._account)
        whole = compose.message_item(WRITER, contents.text(TEXT)) | item
        whole.pop("text")
        return draft(Asked(account=self._account, item=whole), self.stage.provider.composer)


def _inside(wamid: str) -> bytes:
    """The longest word inside a wamid: what it says of the message itself."""
    raw = base64.b64decode(wamid.removeprefix("wamid."))
    words: list[bytes] = re.findall(rb"[0-9A-F]{8,}", raw)
    return max(words, key=len)


def _said(server: Server) -> bytes:
    logs = [one.log for one in server.members] if isinstance(server, EmbeddedMongo) else [server.log]
    return b"".join(one.read_bytes() for one in logs)
