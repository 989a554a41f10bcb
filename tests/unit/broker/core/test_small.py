"""Topics, digests and the delivery table."""

import base64
import hashlib

import pytest

from broker.core import errors
from broker.core.delivery import Action, DeliveryPolicy, action_for, code_of
from broker.core.digests import announced_sha256
from broker.core.topics import Stream, split_topic, tenant_topics, topic_name

DIGEST = hashlib.sha256(b"x").digest()


@pytest.mark.parametrize(
    "written",
    [
        DIGEST.hex(),
        DIGEST.hex().upper(),
        base64.b64encode(DIGEST).decode(),
        base64.urlsafe_b64encode(DIGEST).decode(),
        base64.b64encode(DIGEST).decode().rstrip("="),
    ],
)
def test_a_digest_is_read_however_it_is_written(written: str) -> None:
    assert announced_sha256(written) == DIGEST


@pytest.mark.parametrize(
    "junk", [None, "", "<HASH>", "SfInY0gGKTsJlUWbwxC1k+FAD0FZHv", "z" * 64, "é" * 44, "ab " * 21 + " "]
)
def test_what_is_no_digest_counts_as_none_announced(junk: str | None) -> None:
    assert announced_sha256(junk) is None


@pytest.mark.parametrize("tenant", ["", "Acme", "a.b", "-a", "a-", "a" * 41, "a_b", "a/b"])
def test_a_tenant_that_no_topic_can_carry_is_refused(tenant: str) -> None:
    with pytest.raises(ValueError, match="acme-life"):
        topic_name(tenant, Stream.MESSAGES)


def test_topic_names_read_back() -> None:
    for spec in tenant_topics("acme-life", partitions=4, retention_days=7):
        tenant, stream = split_topic(spec.name)
        assert topic_name(tenant, stream) == spec.name
    with pytest.raises(ValueError, match="not a topic of Custody"):
        split_topic("other.topic")


@pytest.mark.parametrize(
    ("error", "action"),
    [
        (errors.StoreUnavailableError("x"), Action.RETRY),
        (errors.LogUnavailableError("x"), Action.RETRY),
        (errors.BlobsUnavailableError("x"), Action.RETRY),
        (errors.ProviderRefusedError("x"), Action.RETRY),
        (errors.OwnershipLostError("x"), Action.YIELD),
        (errors.UnstorableError("x"), Action.NARROW),
        (errors.MalformedEntryError("x"), Action.NARROW),
        (errors.OffsetGapError(topic="t", partition=0, expected=1, found=2), Action.STOP),
        (errors.LogChangedError("x"), Action.STOP),
        (ValueError("x"), Action.NARROW),
    ],
)
def test_what_each_error_means(error: Exception, action: Action) -> None:
    assert action_for(error) is action


def test_a_bug_has_a_code_too() -> None:
    assert code_of(ValueError("+27605550101")) == "unexpected"


def test_waits_double_up_to_the_most() -> None:
    policy = DeliveryPolicy(first_wait_seconds=1, most_wait_seconds=5)
    assert [policy.wait_seconds(attempt) for attempt in (1, 2, 3, 4, 400)] == [1, 2, 4, 5, 5]
