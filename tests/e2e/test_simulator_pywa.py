"""A client library that others wrote, pywa, finds the provider it knows: the simulator is judged from outside.

pywa always calls graph.facebook.com; the transport below carries its calls to the simulator instead.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from pywa import errors, handlers
from pywa.types.message_status import MessageStatusType
from pywa.types.others import MessageType
from pywa_async.client import WhatsApp
from starlette.applications import Starlette

from connectors.simulator import Customer, DeliveryConfig, Simulator, SimulatorConfig, sample, serving
from connectors.simulator.payloads import contents

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

WRITER = Customer(user_id="ZA.13491208655302741918", phone="270000000042", name="Thandi Mokoena", username="@thandi")
PHOTO = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 40
PATIENCE_SECONDS = 10
HANDLERS: tuple[type[handlers.Handler[Any]], ...] = (
    handlers.MessageHandler,
    handlers.MessageStatusHandler,
    handlers.CallbackButtonHandler,
    handlers.OutgoingMessageHandler,
    handlers.EditedMessageHandler,
    handlers.DeletedMessageHandler,
    handlers.PhoneNumberChangeHandler,
)


class Rerouted(httpx.AsyncHTTPTransport):
    """Sends what is meant for the provider's hosts to `base_url`."""

    def __init__(self, base_url: str) -> None:
        super().__init__()
        self._base_url = httpx.URL(base_url)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        there = self._base_url
        request.url = request.url.copy_with(scheme=there.scheme, host=there.host, port=there.port)
        return await super().handle_async_request(request)


@dataclass
class Business:
    """pywa on both sides: it calls the simulator, and puts its webhooks into a queue for each kind of handler."""

    provider: Simulator
    config: SimulatorConfig
    client: WhatsApp
    url: str
    queues: dict[type[handlers.Handler[Any]], asyncio.Queue[Any]] = field(default_factory=dict)

    @property
    def account(self) -> str:
        return self.config.numbers[0].phone_number_id

    async def subscribe(self, verify_token: str | None = None) -> None:
        """Have pywa set its own callback URL, which the simulator challenges."""
        app = self.config.apps[0]
        token = await self.client.get_app_access_token(app_id=int(app.app_id), app_secret=app.secret)
        await self.client.set_app_callback_url(
            app_id=int(app.app_id),
            app_access_token=token,
            callback_url=self.url,
            verify_token=verify_token or app.verify_token,
            fields=app.fields,
        )

    def listen(self) -> None:
        """Queue every update that pywa makes of a webhook."""
        for kind in HANDLERS:
            self.queues[kind] = asyncio.Queue()
            self.client.add_handlers(kind(_into(self.queues[kind])))

    async def next(self, kind: type[handlers.Handler[Any]]) -> Any:  # noqa: ANN401 - pywa's types export no names
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.queues[kind].get()


def _into(queue: asyncio.Queue[Any]) -> Callable[[object, object], None]:
    def put(_: object, update: object) -> None:
        queue.put_nowait(update)

    return put


@asynccontextmanager
async def business(config: SimulatorConfig, *, secret: str | None = None) -> AsyncIterator[Business]:
    server, number = Starlette(), config.numbers[0]
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(Simulator(config))
        url = await stack.enter_async_context(serving(server))
        transport = Rerouted(provider.base_url)
        session = await stack.enter_async_context(httpx.AsyncClient(transport=transport))
        client = WhatsApp(
            phone_id=number.phone_number_id,
            token=number.access_token,
            session=session,
            server=server,  # type: ignore[arg-type] # it takes Starlette, too
            waba_id=number.waba_id,
            app_id=config.apps[0].app_id,
            app_secret=secret or config.apps[0].secret,
            verify_token=config.apps[0].verify_token,
            webhook_endpoint="/",
        )
        made = Business(provider=provider, config=config, client=client, url=f"{url}/")
        made.listen()
        yield made


@pytest.fixture
def config() -> SimulatorConfig:
    # pywa reads the first item of a webhook only, so each gets a body of its own.
    delivery = DeliveryConfig(batch_limit=1, status_gap_seconds=0.05)
    return replace(sample(seed=11), delivery=delivery, time_scale=0.1)


@pytest.fixture
async def shop(config: SimulatorConfig) -> AsyncIterator[Business]:
    async with business(config) as made:
        await made.subscribe()
        yield made


async def test_pywa_sends_a_text_and_hears_what_became_of_it(shop: Business) -> None:
    sent = await shop.client.send_message(to="270000000042", text="Your claim is settled", tracker="claim-1")
    statuses = [await shop.next(handlers.MessageStatusHandler) for _ in range(3)]

    assert sent.id.startswith("wamid.")
    assert {status.id for status in statuses} == {sent.id}
    assert {status.status for status in statuses} == {
        MessageStatusType.SENT,
        MessageStatusType.DELIVERED,
        MessageStatusType.READ,
    }
    assert {status.tracker for status in statuses} == {"claim-1"}


async def test_pywa_uploads_sends_downloads_and_deletes_a_photo(shop: Business) -> None:
    media = await shop.client.upload_media(PHOTO, mime_type="image/jpeg", filename="screen.jpg")
    sent = await shop.client.send_image(to="270000000042", image=media, caption="As repaired")
    shown = await shop.client.get_media_url(media.id)
    fetched = await shop.client.get_media_bytes(shown.url)
    deleted = await shop.client.delete_media(media.id, phone_id=None)

    assert sent.id
    assert fetched == PHOTO
    assert (shown.mime_type, int(shown.file_size)) == ("image/jpeg", len(PHOTO))
    assert deleted
    assert [row["outcome"] for row in shop.provider.deletes()] == ["erased"]
    with pytest.raises(errors.WhatsAppError) as gone:
        await shop.client.get_media_url(media.id)
    assert gone.value.code == 100


async def test_pywa_hears_a_text_and_a_photo_and_fetches_it(shop: Business) -> None:
    compose = shop.provider.composer(shop.account)
    text = compose.message(WRITER, contents.text("A stone hit my windscreen"))
    ref = compose.media("image/jpeg", size=5_000)
    photo = compose.message(WRITER, contents.image(ref, caption="Here"), reply_to=text.message_id)
    await shop.provider.send(text)
    heard = await shop.next(handlers.MessageHandler)
    await shop.provider.send(photo)
    seen = await shop.next(handlers.MessageHandler)

    assert (heard.id, heard.text) == (text.message_id, "A stone hit my windscreen")
    assert (heard.from_user.wa_id, heard.from_user.bsuid, heard.from_user.username) == (
        WRITER.phone,
        WRITER.user_id,
        WRITER.username,
    )
    assert seen.image is not None
    assert (seen.image.id, seen.image.caption) == (ref.media_id, "Here")
    assert seen.reply_to_message is not None
    assert seen.reply_to_message.id == text.message_id
    assert len(await seen.image.get_bytes()) == 5_000


async def test_pywa_understands_what_else_customers_and_team_do(shop: Business) -> None:
    compose = shop.provider.composer(shop.account)
    text = compose.message(WRITER, contents.text("My excess is R 1 500"))
    await shop.provider.send(text)
    await shop.provider.send(compose.message(WRITER, contents.edit(text.message_id, contents.text("R 2 500"))))
    await shop.provider.send(compose.message(WRITER, contents.revoke(text.message_id)))
    await shop.provider.send(compose.message(WRITER, contents.button_reply("book", "Book")))
    await shop.provider.send(compose.echo(WRITER, contents.text("Noted, thank you")))
    number = contents.changed_number(name="Thandi", old="270000000042", new="270000000043", user_id="ZA.2")
    await shop.provider.send(compose.message(WRITER, number))

    assert (await shop.next(handlers.EditedMessageHandler)).message.text == "R 2 500"
    assert (await shop.next(handlers.DeletedMessageHandler)).original_message_id == text.message_id
    assert (await shop.next(handlers.CallbackButtonHandler)).data == "book"
    assert (await shop.next(handlers.OutgoingMessageHandler)).text == "Noted, thank you"
    moved = await shop.next(handlers.PhoneNumberChangeHandler)
    assert (moved.old_wa_id, moved.new_wa_id, moved.new_user_id) == ("270000000042", "270000000043", "ZA.2")


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (contents.location(-33.9, 18.4, name="N1"), MessageType.LOCATION),
        (contents.contacts("Glass", "Fitters", "27000000199"), MessageType.CONTACTS),
        (contents.reaction("wamid.x", "🙏"), MessageType.REACTION),
        (contents.reaction("wamid.x", None), MessageType.REACTION),
        (contents.order("1", (("a", 1, 10),)), MessageType.ORDER),
        (contents.unsupported(), MessageType.UNSUPPORTED),
    ],
)
async def test_pywa_reads_every_other_type(shop: Business, content: contents.Content, kind: MessageType) -> None:
    await shop.provider.send(shop.provider.composer(shop.account).message(WRITER, content))

    assert (await shop.next(handlers.MessageHandler)).type == kind


async def test_pywas_own_signature_check_refuses_another_secret(config: SimulatorConfig) -> None:
    async with business(config, secret="not the app's secret") as shop:
        shop.provider.set_callback(config.apps[0].app_id, shop.url)
        compose = shop.provider.composer(shop.account)
        await shop.provider.send(compose.message(WRITER, contents.text("x")))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not shop.provider.summary()["answers"]:  # noqa: ASYNC110 - the summary is all that tells
                await asyncio.sleep(0.01)

        answers: Any = shop.provider.summary()["answers"]
        assert set(answers) == {"403"}
        assert shop.queues[handlers.MessageHandler].empty()


async def test_pywas_challenge_refuses_another_verify_token(config: SimulatorConfig) -> None:
    async with business(config) as shop:
        with pytest.raises(errors.WhatsAppError) as refused:
            await shop.subscribe(verify_token="another")

        assert refused.value.code == 2200


@pytest.mark.parametrize(
    ("strike", "kind"),
    [
        ("unauthorized", errors.ExpiredAccessToken),
        ("throttled", errors.ThrottlingError),
    ],
)
async def test_pywa_knows_the_errors_by_their_codes(
    shop: Business, strike: str, kind: type[errors.WhatsAppError]
) -> None:
    shop.provider.misbehave({strike: 1.0})

    with pytest.raises(kind):
        await shop.client.send_message(to="270000000042", text="x")
