"""The WhatsApp Cloud API behind the `Connector` seam: parse, fetch, erase, check."""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.core.errors import (
    ObjectGoneError,
    ProviderRefusedError,
    ProviderThrottledError,
    ProviderUnavailableError,
)
from broker.core.model import ErasureOutcome
from broker.core.ports import EraseAnswer
from connectors.whatsapp_cloud import check
from connectors.whatsapp_cloud.capabilities import NAME, capabilities
from connectors.whatsapp_cloud.client import OK, CloudSettings, GraphClient, UnaddressedError, UnsentError, fault
from connectors.whatsapp_cloud.media import Fetcher, MediaHosts
from connectors.whatsapp_cloud.parse import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from broker.core.item import Change
    from broker.core.model import EraseCommand, FetchTask
    from broker.core.ports import Capabilities, Clock, Finding, OpenPart
    from broker.core.registry import Account, App
    from connectors.whatsapp_cloud.client import GraphAnswer


class WhatsAppCloud:
    """One provider, all its accounts. `app_of` names an app by the name that accounts know it by (live reload).

    Wrong settings raise `SettingsError`.
    """

    def __init__(
        self, *, clock: Clock, app_of: Callable[[str], App | None], settings: CloudSettings | None = None
    ) -> None:
        settings = settings or CloudSettings()
        self._app_of = app_of
        self._capabilities = capabilities(settings.extra_media_hosts)
        self._client = GraphClient(settings)
        self._fetcher = Fetcher(
            client=self._client,
            hosts=MediaHosts(self._capabilities.media_hosts, plain=self._client.plain),
            capabilities=self._capabilities,
            clock=clock,
        )

    @property
    def name(self) -> str:
        return NAME

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    def parse(self, body: bytes) -> Sequence[Change]:
        return parse(body)

    def open_part(self, account: Account, task: FetchTask) -> AbstractAsyncContextManager[OpenPart]:
        return self._fetcher.open(account, task)

    async def erase(self, account: Account, command: EraseCommand) -> EraseAnswer:
        """`DELETE /{media-id}`, sent once: it works on ids from webhooks and from uploads.

        Whatever leaves open whether the provider acted (5xx, time-outs, a broken connection) is `UNANSWERED`, so that
        an absent object counts as ours next time.
        """
        if command.object_kind not in self._capabilities.erasable:
            return EraseAnswer(outcome=ErasureOutcome.BLOCKED, evidence="unsupported_object_kind")
        what = f"target {command.target_id}"
        query = {"phone_number_id": account.id}
        try:
            answer = await self._client.call("DELETE", command.object_id, token=account.token, what=what, query=query)
        except UnaddressedError:
            return EraseAnswer(outcome=ErasureOutcome.BLOCKED, evidence="malformed_id")
        except ProviderRefusedError:
            return EraseAnswer(outcome=ErasureOutcome.BLOCKED, evidence="token_unusable")
        except UnsentError:
            return EraseAnswer(outcome=ErasureOutcome.RETRY, evidence="unreachable")
        except ProviderUnavailableError:
            return EraseAnswer(outcome=ErasureOutcome.UNANSWERED, evidence="no_answer")
        return _erase_answer(answer, what)

    async def check(self, account: Account) -> Sequence[Finding]:
        return await check.check(self._client, account, self._app_of(account.app))

    async def close(self) -> None:
        await self._client.close()


def _erase_answer(answer: GraphAnswer, what: str) -> EraseAnswer:
    if answer.status == OK:
        return _success(answer.body.get("success"))
    error = fault(answer, what)
    return EraseAnswer(
        outcome=_outcome(error, answer),
        evidence=answer.evidence,
        retry_after_seconds=answer.retry_after_seconds,
    )


def _success(success: object) -> EraseAnswer:
    if success is True:
        return EraseAnswer(outcome=ErasureOutcome.ERASED, evidence="http_200_success")
    if success is False:
        return EraseAnswer(outcome=ErasureOutcome.RETRY, evidence="http_200_no_success")
    return EraseAnswer(outcome=ErasureOutcome.UNANSWERED, evidence="http_200_unreadable")


def _outcome(error: Exception, answer: GraphAnswer) -> ErasureOutcome:
    if isinstance(error, ObjectGoneError):
        return ErasureOutcome.ABSENT
    if isinstance(error, ProviderRefusedError):
        return ErasureOutcome.BLOCKED
    if isinstance(error, ProviderThrottledError) or answer.is_plain_refusal:
        return ErasureOutcome.RETRY
    return ErasureOutcome.UNANSWERED
