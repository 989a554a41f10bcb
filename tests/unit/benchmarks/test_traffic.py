"""The made-up traffic: the mix it promises, the same again for the same seed."""

from __future__ import annotations

from collections import Counter

from benchmarks import tenant, traffic
from broker.core import codec
from connectors.whatsapp_cloud.signature import claimed_digest, is_signed


def test_the_mix_is_the_one_described_and_every_record_is_readable() -> None:
    sealing = traffic.Sealing(bytes)
    entries = [entry for body in traffic.bodies(seed=1, items=300) for entry in sealing.entries(body)]

    records = [codec.decode_record(entry.value) for entry in entries]

    kinds = Counter(str(one.envelope.kind) for one in records)
    assert kinds["message"] == 270
    assert kinds["status"] == 30
    assert set(kinds) == {"message", "status", "identity"}
    assert sum(bool(one.envelope.parts) for one in records) == 60


def test_the_same_seed_makes_the_same_bytes() -> None:
    first, again, other = (list(traffic.bodies(seed=seed, items=40, items_a_body=7)) for seed in (1, 1, 2))

    assert first == again
    assert first != other
    assert len(first) == 6


def test_an_identity_is_told_of_once() -> None:
    sealing = traffic.Sealing(bytes)
    (body,) = traffic.bodies(seed=1, items=10, items_a_body=10)

    first, again = sealing.entries(body), sealing.entries(body)

    assert len(again) == 10
    assert len(first) > 10


def test_bodies_are_signed_as_the_edge_wants_it() -> None:
    (body,) = traffic.bodies(seed=1, items=1)

    digest = claimed_digest([tenant.signature(body).decode()])

    assert digest is not None
    assert is_signed(body, digest, tenant.registry().apps[tenant.APP].secrets)
