"""Who reads what: shares are even, settle by themselves, and never overlap."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from broker.log.postgres.sharing import Claim, share_claims, share_fetch

MESSAGES = frozenset({"messages"})
BOTH = frozenset({"messages", "statuses"})
MEMBERS = [UUID(int=number) for number in range(1, 6)]


def claim(number: int, owner: UUID | None = None, stream: str = "messages", tenant: str = "acme") -> Claim:
    topic = f"custody.{tenant}.{stream}.v1"
    return Claim(partition_id=number, topic=topic, stream=stream, partition=number, owner=owner, epoch=0)


def settle(members: dict[UUID, frozenset[str]], claims: list[Claim], order: random.Random) -> tuple[list[Claim], int]:
    """Lets every member act in turn, giving back at once, until nobody moves; also how many claims moved."""
    moved = 0
    for _ in range(50):
        quiet = True
        for me in order.sample(list(members), len(members)):
            shares = share_claims(me, members, claims)
            given_back = {one for surplus, mine in shares.surplus for one in mine[:surplus]}
            assert all(one.owner not in members for one in claims if one.partition_id in shares.take)
            assert not given_back & set(shares.take)
            quiet = quiet and not shares.take and not given_back
            moved += len(shares.take)
            claims = [
                replace(one, owner=me if one.partition_id in shares.take else None)
                if one.partition_id in given_back | set(shares.take)
                else one
                for one in claims
            ]
        if quiet:
            return claims, moved
    raise AssertionError("the members never settle")


@given(
    owners=st.lists(st.sampled_from([None, *MEMBERS]), max_size=12),
    members=st.sets(st.sampled_from(MEMBERS), min_size=1),
    order=st.randoms(use_true_random=False),
)
def test_members_settle_on_even_shares(owners: list[UUID | None], members: set[UUID], order: random.Random) -> None:
    claims, _ = settle(
        dict.fromkeys(members, MESSAGES), [claim(number, owner) for number, owner in enumerate(owners)], order
    )
    counts = Counter(dict.fromkeys(members, 0) | Counter(one.owner for one in claims))
    assert set(counts) == members
    assert max(counts.values()) - min(counts.values()) <= 1


@given(
    topics=st.lists(st.lists(st.sampled_from([None, *MEMBERS]), max_size=6), max_size=6),
    members=st.sets(st.sampled_from(MEMBERS), min_size=1),
    order=st.randoms(use_true_random=False),
)
def test_members_share_each_topic_and_all_of_them_evenly(
    topics: list[list[UUID | None]], members: set[UUID], order: random.Random
) -> None:
    claims = [
        claim(10 * topic + number, owner, tenant=f"tenant-{topic}")
        for topic, owners in enumerate(topics)
        for number, owner in enumerate(owners)
    ]
    order.shuffle(claims)
    settled, _ = settle(dict.fromkeys(members, MESSAGES), claims, order)
    for some in (settled, *([one for one in settled if one.topic == topic] for topic in {one.topic for one in claims})):
        counts = Counter(dict.fromkeys(members, 0) | Counter(one.owner for one in some))
        assert max(counts.values()) - min(counts.values()) <= 1


@given(order=st.randoms(use_true_random=False))
def test_members_with_other_streams_share_what_they_have_in_common(order: random.Random) -> None:
    one, other, narrow = MEMBERS[:3]
    claims = [claim(n) for n in range(6)] + [claim(n, stream="statuses") for n in range(6, 10)]
    settled, _ = settle({one: BOTH, other: BOTH, narrow: MESSAGES}, claims, order)
    counts = Counter((entry.owner, entry.stream) for entry in settled)
    assert {counts[member, "messages"] for member in (one, other, narrow)} == {2}
    assert (counts[one, "statuses"], counts[other, "statuses"], counts[narrow, "statuses"]) == (2, 2, 0)


def test_only_what_must_move_moves() -> None:
    claims = [claim(number, MEMBERS[number % 2]) for number in range(6)]
    _, moved = settle(dict.fromkeys(MEMBERS[:3], MESSAGES), claims, random.Random(1))
    assert moved == 2
    settled, moved = settle(dict.fromkeys(MEMBERS[:2], MESSAGES), claims, random.Random(1))
    assert (settled, moved) == (claims, 0)


def test_what_a_dead_member_owned_is_free() -> None:
    shares = share_claims(MEMBERS[0], {MEMBERS[0]: MESSAGES}, [claim(1, MEMBERS[4]), claim(2, MEMBERS[0])])
    assert shares.take == (1,)


def test_streams_that_nobody_reads_are_nobodys() -> None:
    shares = share_claims(MEMBERS[0], {MEMBERS[0]: MESSAGES}, [claim(1, stream="kept")])
    assert (shares.take, shares.surplus) == ((), ())


@given(waiting=st.lists(st.integers(1, 2000), max_size=20), most=st.integers(1, 500))
def test_a_fetch_is_full_if_it_can_be_and_shared_evenly(waiting: list[int], most: int) -> None:
    shares = share_fetch(waiting, most)
    assert sum(shares) == min(most, sum(waiting))
    assert all(0 <= share <= count for share, count in zip(shares, waiting, strict=True))
    if len(waiting) <= most:
        cut = [share for share, count in zip(shares, waiting, strict=True) if share < count]
        assert not cut or max(shares) - min(cut) <= 1


def test_with_more_partitions_than_entries_the_first_get_one_each() -> None:
    assert share_fetch([5, 1, 9, 9], 2) == [1, 1, 0, 0]
