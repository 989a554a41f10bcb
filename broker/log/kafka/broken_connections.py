"""Connections that break, in two ways that aiokafka 0.14.0 does not expect.

- Just before a write, on uvloop: asyncio's transports drop such a write, uvloop's raise `RuntimeError` (handle.pyx,
  `_ensure_alive`), and `send` expects `OSError` alone (conn.py).
  Source: https://github.com/aio-libs/aiokafka/issues/1038, open on 2026-11-26.
- Before an answer that is waited for: once it has timed out, the client looks its connection up again to close it
  (client.py, `send`): the one it finds may be a new one, and where there is none yet it raises `KeyError`.

What got such an error ended: a call of ours, or a task of the client's own. Without the one that looks after metadata,
a client finds no partition ever again, though its brokers are long back (seen when brokers were killed and frozen).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from aiokafka import conn
from aiokafka.errors import KafkaConnectionError, KafkaError, RequestTimedOutError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")


class Connection(conn.AIOKafkaConnection):  # type: ignore[misc] # aiokafka ships no types
    """aiokafka's, whose errors are aiokafka's own however it breaks."""

    def send(self, request: object, expect_response: bool = True) -> Any:  # noqa: ANN401, FBT001, FBT002 - as there
        """Writes at once; an awaitable of the answer. `KafkaConnectionError`, `RequestTimedOutError`."""
        return self._answer(self._write(lambda: super(Connection, self).send(request, expect_response)))

    def _send_sasl_token(self, payload: bytes, expect_response: bool = True) -> Any:  # noqa: ANN401, FBT001, FBT002
        return self._answer(self._write(lambda: super(Connection, self)._send_sasl_token(payload, expect_response)))

    def _write(self, write: Callable[[], T]) -> T:
        try:
            return write()
        except KafkaError:  # aiokafka's own are RuntimeErrors, too
            raise
        except RuntimeError as error:
            self.close(reason=conn.CloseReason.CONNECTION_BROKEN)
            raise KafkaConnectionError(f"Connection at {self.host}:{self.port} broken") from error

    async def _answer(self, answer: Awaitable[T]) -> T:
        try:
            return await answer
        except TimeoutError as error:
            self.close(reason=conn.CloseReason.CONNECTION_TIMEOUT)
            raise RequestTimedOutError from error


def mend() -> None:
    """Every client of aiokafka in this process makes such connections from now on; again, it changes nothing."""
    conn.AIOKafkaConnection = Connection
