from __future__ import annotations

import ssl

import pytest
from aiokafka import errors as kafka

from broker.core.errors import LogUnavailableError
from broker.log.kafka.errors import DRIVER_ERRORS, guarded, translated

CANARY = "+27 82 555 0199"


@pytest.mark.parametrize("error", [one for one in DRIVER_ERRORS if one is not kafka.KafkaError])
async def test_nothing_of_the_drivers_words_travels_on(error: type[Exception]) -> None:
    @guarded("reading")
    async def read() -> None:
        raise error(CANARY)

    with pytest.raises(LogUnavailableError, match=r"while reading \(\w+\); try again later") as caught:
        await read()
    assert CANARY not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (kafka.SaslAuthenticationFailed(CANARY), "refuse the login.*check user and password"),
        (ssl.SSLCertVerificationError(CANARY), "refuse the login.*certificate"),
        (kafka.TopicAuthorizationFailedError(CANARY), "do not let this user.*custody topics acls --tenant"),
        (kafka.GroupAuthorizationFailedError(CANARY), "do not let this user"),
        (kafka.NotEnoughReplicasError(CANARY), "too few replicas"),
        (TimeoutError(), "try again later"),
    ],
)
def test_an_operator_is_told_what_to_do_and_the_caller_may_try_again(error: Exception, what: str) -> None:
    problem = translated(error, "appending")
    assert isinstance(problem, LogUnavailableError)
    with pytest.raises(LogUnavailableError, match=what):
        raise problem
    assert CANARY not in str(problem)


@pytest.mark.parametrize(
    ("cause", "is_refusal"),
    [(ssl.SSLError(CANARY), True), (ssl.SSLEOFError(CANARY), False), (OSError(CANARY), False), (None, False)],
)
def test_a_certificate_refused_after_the_handshake_is_told_from_a_connection_that_broke(
    cause: Exception | None,
    is_refusal: bool,
) -> None:
    closed = kafka.KafkaConnectionError(CANARY)
    closed.__cause__ = cause
    said = str(translated(closed, "connecting"))
    assert ("refuse the login" in said) is is_refusal
    assert CANARY not in said


async def test_errors_of_our_own_pass_as_they_are() -> None:
    @guarded("reading")
    async def read() -> None:
        raise LogUnavailableError("closed")

    with pytest.raises(LogUnavailableError, match=r"^closed$"):
        await read()
