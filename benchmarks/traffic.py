"""Made-up traffic, the same for the same seed: webhook bodies as the provider writes them, and their log entries.

Of 30 items 21 are texts, 6 carry a part (photos, voice notes, documents) and 3 are statuses: one message that the
business sent, delivered and read. Every customer shows a phone number and a BSUID, as most do.
"""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.tenant import ACCOUNT, APP, AT, NUMBER, WABA, registry
from broker.core.intake import Directory, RecentIds, SignedDelivery, new_delivery_id, take_in
from broker.core.parcels import Packer
from broker.core.ports import Entropy
from broker.log.postgres import PostgresLogOptions
from connectors.simulator.ids import Customer, Ids, digits, user_id_of
from connectors.simulator.payloads import contents, envelope, statuses
from connectors.whatsapp_cloud.capabilities import CAPABILITIES, MEDIA_HOST
from connectors.whatsapp_cloud.parse import CONNECTOR_VERSION, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from broker.core.item import Change
    from broker.core.ports import NewEntry

_CUSTOMERS = 500
STATUSES = ("status",) * 3
"""A mix of statuses alone: see `bodies`."""
MIX = ("text",) * 21 + ("image", "image", "image", "image", "audio", "document") + STATUSES
_STATUSES: tuple[statuses.Status, ...] = ("sent", "delivered", "read")
_TEXT = (
    "hello windscreen cracked this morning on the way to work please see photo attached claim number policy car "
    "quote repair Saturday thank you when can someone call me back regards"
)
_ITEMS_A_BODY = 50


def bodies(*, seed: int, items: int, items_a_body: int = _ITEMS_A_BODY, mix: Sequence[str] = MIX) -> Iterator[bytes]:
    """Webhook bodies with so many items in all, the last one with what is left.

    `mix`: a block of kinds, which comes again and again, each time in another order; statuses by threes.
    """
    parcels = itertools.islice(_Writer(seed).parcels(mix), items)
    while batch := list(itertools.islice(parcels, items_a_body)):
        yield envelope.body(batch)


def documents(media: Iterable[contents.MediaRef], *, seed: int, items_a_body: int = _ITEMS_A_BODY) -> Iterator[bytes]:
    """Webhook bodies with a document for each of these media objects."""
    writer = _Writer(seed)
    parcels = (writer.message(partial(contents.document, one, filename="police report.pdf")) for one in media)
    while batch := list(itertools.islice(parcels, items_a_body)):
        yield envelope.body(batch)


@dataclass(slots=True)
class Sealing:
    """Turns bodies into log entries as the edge does: parsed, owned, sealed."""

    entropy: Entropy
    directory: Directory = field(default_factory=lambda: Directory(registry()))
    recent: RecentIds = field(default_factory=lambda: RecentIds(20_000))

    def entries(self, body: bytes) -> Sequence[NewEntry]:
        """The entries of one body, received at `AT`."""
        return self.sealed(parse(body))

    def sealed(self, changes: Sequence[Change]) -> Sequence[NewEntry]:
        """The entries of what a body says."""
        app = self.directory.registry.apps[APP]
        delivery = SignedDelivery(
            app=app, id=new_delivery_id(self.entropy), received_at=AT, connector=CONNECTOR_VERSION
        )
        intake = take_in(
            changes,
            delivery,
            directory=self.directory,
            capabilities=CAPABILITIES,
            packer=Packer(entry_bytes=PostgresLogOptions().entry_bytes, entropy=self.entropy),
            recent=self.recent,
        )
        self.recent.mark(intake.identities)
        return intake.entries


class _Writer:
    """Writes items, one after the other."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._ids = Ids(seed=seed)
        self._vocabulary = _TEXT.split()
        self._customers = [_customer(seed, number) for number in range(_CUSTOMERS)]

    def parcels(self, mix: Sequence[str]) -> Iterator[envelope.Parcel]:
        """Without end: blocks of the mix, each in an order of its own."""
        while True:
            sent = self._random.choice(self._customers)
            told = self._told(sent)
            for kind in self._random.sample(mix, len(mix)):
                yield next(told) if kind == "status" else self.message(partial(self._content, kind))

    def _told(self, to: Customer) -> Iterator[envelope.Parcel]:
        """The statuses of a message that the business sent."""
        sent = statuses.Sent(message_id=self._ids.wamid(to.phone or to.user_id, outbound=True), to=to)
        for name in _STATUSES:
            item = statuses.status(sent, name, timestamp=int(AT.timestamp()) - self._random.randrange(60))
            yield _parcel("statuses", item, to, inbound=False)

    def message(self, content: Callable[[], contents.Content]) -> envelope.Parcel:
        """A message of a customer's."""
        customer = self._random.choice(self._customers)
        item: dict[str, object] = {
            "from": customer.phone,
            "from_user_id": customer.user_id,
            "id": self._ids.wamid(customer.phone or customer.user_id),
            "timestamp": str(int(AT.timestamp()) - self._random.randrange(3600)),
        }
        return _parcel("messages", item | content().fields(), customer, inbound=True)

    def _content(self, kind: str) -> contents.Content:
        if kind == "text":
            return contents.text(self._words(self._random.randint(3, 20)))
        if kind == "image":
            return contents.image(self._media("image/jpeg"), caption=self._words(3))
        if kind == "audio":
            return contents.audio(self._media("audio/ogg; codecs=opus"))
        return contents.document(self._media("application/pdf"), filename="police report.pdf")

    def _media(self, mime: str) -> contents.MediaRef:
        media_id, proof = self._ids.media_id(), self._random.randbytes(32)
        query = f"mid={media_id}&source=webhook&ext={int(AT.timestamp()) + 300}&hash={proof.hex()[:32]}"
        url = f"https://{MEDIA_HOST}/whatsapp_business/attachments/?{query}"
        return contents.MediaRef(media_id=media_id, mime=mime, sha256=proof, url=url)

    def _words(self, count: int) -> str:
        return " ".join(self._random.choices(self._vocabulary, k=count))


def _customer(seed: int, number: int) -> Customer:
    phone = "2700" + digits(8, "benchmark", seed, number)
    return Customer(user_id=user_id_of(phone), name=f"Customer {number}", phone=phone)


def _parcel(array: str, item: Mapping[str, object], customer: Customer, *, inbound: bool) -> envelope.Parcel:
    return envelope.Parcel(
        number=0,
        app_id="1",
        waba_id=WABA,
        account=ACCOUNT,
        display_phone_number=NUMBER,
        field="messages",
        array=array,
        raw=envelope.encode(item),
        contacts=(envelope.encode(customer.contact()),),
        inbound=inbound,
    )
