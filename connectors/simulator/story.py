"""The insurance story: a stone hits a windscreen, and everything a claims team sees on WhatsApp follows.

Five scenes. Each is a generator of drafts that may be told for a number of its own; who takes part changes with every
telling, the proportions do not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from connectors.simulator.cast import moved
from connectors.simulator.draft import Draft, varied
from connectors.simulator.payloads import contents, events
from connectors.simulator.payloads.statuses import PAYLOAD_NOT_FOUND, Sent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from connectors.simulator.cast import Cast
    from connectors.simulator.compose import Composer
    from connectors.simulator.ids import Customer
    from connectors.simulator.payloads.contents import Content
    from connectors.simulator.payloads.statuses import Status

    Scene = Callable[["Composer", "Cast"], Iterator[Draft]]

_SEEN: tuple[Status, ...] = ("sent", "delivered", "read")


def _told(
    compose: Composer, customer: Customer, content: Content, statuses: tuple[Status, ...] = _SEEN
) -> tuple[str, list[Draft]]:
    """The team writes from its app: the message's id, and the echo with its statuses in the order they come."""
    echo = compose.echo(customer, content)
    sent = Sent(message_id=echo.message_id, to=customer)
    said_at = compose.now()
    after = [compose.status(sent, name, at=said_at + step) for step, name in enumerate(statuses)]
    if compose.draws.strikes("statuses_before_messages", echo.message_id):
        return echo.message_id, [*after, echo]
    return echo.message_id, [echo, *after]


def windscreen(compose: Composer, cast: Cast) -> Iterator[Draft]:
    """The member reports the claim with photos, a voice note and a PDF; the team answers from its app."""
    member = cast.member
    yield compose.message(
        member,
        contents.text("Good morning. A stone hit my windscreen on the N1 this morning, it is cracked right across."),
        redeliveries=2,
    )
    asked, drafts = _told(
        compose,
        member,
        contents.text(f"So sorry to hear that. Your claim is {cast.claim}. Could you send us photos?"),
    )
    yield from drafts
    yield compose.message(member, contents.reaction(asked, "\U0001f64f"))
    whole = compose.media("image/jpeg")
    yield compose.message(member, contents.image(whole, caption="The whole windscreen"), reply_to=asked)
    close = compose.media("image/jpeg")
    yield compose.message(member, contents.image(close, caption="Where the stone hit"), redeliveries=1)
    yield compose.message(member, contents.audio(compose.media("audio/ogg; codecs=opus")))
    quote = compose.media("application/pdf")
    yield compose.message(
        member, contents.document(quote, filename=f"Quotation {cast.claim}.pdf", caption="From the fitment centre")
    )
    yield compose.message(
        member, contents.location(-33.918861, 18.4233, name="N1 northbound", address="Table Bay Boulevard, Cape Town")
    )
    yield from _settled(compose, cast, asked)


def _settled(compose: Composer, cast: Cast, asked: str) -> Iterator[Draft]:
    """The team sends the form and a voice note; the member corrects, withdraws and thinks again."""
    member = cast.member
    form = compose.media("application/pdf", source="echo")
    _, drafts = _told(compose, member, contents.document(form, filename="Claim form.pdf"))
    yield from drafts
    spoken = compose.media("audio/ogg; codecs=opus", source="echo")
    _, drafts = _told(compose, member, contents.audio(spoken), (*_SEEN, "played"))
    yield from drafts
    excess = compose.message(member, contents.text("My excess is R 1 500, is that right?"))
    yield excess
    yield compose.message(member, contents.edit(excess.message_id, contents.text("My excess is R 2 500, right?")))
    slip = compose.message(member, contents.text("My card number is, oh, never mind."))
    yield slip
    yield compose.message(member, contents.revoke(slip.message_id))
    gone = "" if cast.telling % 2 == 0 else None
    yield compose.message(member, contents.reaction(asked, gone))
    yield compose.message(member, contents.contacts("Glass", "Fitters", "27000000199", company="Cape Glass Fitters"))
    settled = compose.message(member, contents.text(f"Thank you, {cast.claim} is noted."))
    yield settled
    other = varied(settled)
    if other is not None:
        yield other


def booking(compose: Composer, cast: Cast) -> Iterator[Draft]:
    """A customer who shows both a phone number and a username books the repair by buttons, a list and a form."""
    both = cast.both
    offer, drafts = _told(compose, both, contents.text("Shall we book the repair?"))
    yield from drafts
    yield compose.message(both, contents.button_reply("book-repair", "Book the repair"), reply_to=offer)
    yield compose.message(
        both, contents.list_reply("tuesday-10", "Tuesday at 10:00", description="Cape Town"), reply_to=offer
    )
    yield compose.message(
        both, contents.flow_reply({"registration": "CA 123-456", "claim": cast.claim}), reply_to=offer
    )
    yield compose.message(both, contents.button("yes-please", "Yes, please"), reply_to=offer)
    # The provider announces this photo but has lost it already.
    lost = compose.media("image/jpeg", gone=True)
    yield compose.message(both, contents.image(lost, caption="My licence disc"))
    sent = Sent(message_id=offer, to=both)
    yield compose.status(sent, "failed", at=compose.now() + 9, failure=PAYLOAD_NOT_FOUND)


def username_only(compose: Composer, cast: Cast) -> Iterator[Draft]:
    """A customer who shows no phone number; the photo was kept back so long that it is about to expire."""
    customer = cast.username_only
    long_ago = compose.expiring_at
    yield compose.message(
        customer,
        contents.text("Hello, I found you through an advertisement. Do you cover windscreens only?"),
        referral=contents.referral(ad_id=cast.claim[-8:], headline="Windscreen cover"),
    )
    late = compose.media("image/jpeg", at=long_ago)
    yield compose.message(customer, contents.image(late, caption="My car"), at=long_ago)
    _, drafts = _told(compose, customer, contents.text("We do. Here is how it works."))
    yield from drafts
    yield compose.message(customer, contents.audio(compose.media("audio/ogg; codecs=opus")))
    yield compose.message(customer, contents.sticker(compose.media("image/webp", size=1_200)))


def group(compose: Composer, cast: Cast) -> Iterator[Draft]:
    """The member, a neighbour who saw it, and the team in one group."""
    people = (cast.member, cast.neighbour)
    founded = events.group_event(
        "group_lifecycle_update",
        cast.group_id,
        request_id=compose.ids.token(),
        timestamp=compose.now(),
        participants=people,
    )
    yield compose.event("group_lifecycle_update", founded, array="groups", key=events.group_key(founded))
    seen = compose.message(
        cast.neighbour, contents.text("I was right behind her and saw the lorry."), group_id=cast.group_id
    )
    yield seen
    film = compose.media("video/mp4")
    yield compose.message(cast.neighbour, contents.video(film, caption="From my dashcam"), group_id=cast.group_id)
    yield compose.message(cast.member, contents.reaction(seen.message_id, "❤️"), group_id=cast.group_id)
    answer, said_at = compose.ids.wamid(cast.group_id[:24], outbound=True), compose.now()
    for person in people:
        sent = Sent(message_id=answer, to=person, group_id=cast.group_id)
        for step, name in enumerate(_SEEN):
            yield compose.status(sent, name, at=said_at + step)


def mishaps(compose: Composer, cast: Cast) -> Iterator[Draft]:
    """What goes wrong: a poll nobody can read, a message lost on the way, a customer with a new number."""
    member = cast.member
    yield compose.unsupported(compose.message(member, contents.text("(a poll)")))
    yield compose.lost(compose.message(member, contents.text("(never came)")))
    now_known = moved(member, cast)
    yield compose.message(
        member,
        contents.changed_number(
            name=member.name, old=member.phone or "", new=now_known.phone or "", user_id=now_known.user_id
        ),
    )
    yield compose.message(now_known, contents.text("It is me, from my new number."))
    yield compose.account_event("message_template_status_update")
    yield compose.message(now_known, contents.text("A friend sent me this about claims."), forwarded=True)


SCENES: tuple[Scene, ...] = (windscreen, booking, username_only, group, mishaps)
