"""The registry as it is now: read again whenever its file, or a secret it refers to, changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from broker.core.errors import SettingsError
from broker.core.registry import Registry
from broker.references import Stamp, stamp
from broker.registry import Reading, read_registry

logger = structlog.get_logger(__name__)


@dataclass(slots=True)
class LiveRegistry:
    """The last good registry of a file; call it for the value.

    A bad edit changes nothing: it is logged, counted in `refused_count`, and `problems` says what is wrong until the
    file is good again. `on_change` is called with each new value, in the event loop that watches.
    """

    path: Path
    poll_seconds: float = 1.0
    reloaded_count: int = 0
    refused_count: int = 0
    problems: tuple[str, ...] = ()
    _value: Registry = field(init=False, repr=False)
    _stamps: Mapping[Path, Stamp] = field(init=False, repr=False)
    _callbacks: list[Callable[[Registry], None]] = field(default_factory=list, repr=False)

    def __post_init__(self) -> None:
        """Reads the file. `SettingsError` when it is not good at the start."""
        reading = read_registry(self.path)
        if reading.registry is None:
            raise SettingsError(reading.problems)
        self._value, self._stamps = reading.registry, reading.stamps

    def __call__(self) -> Registry:
        return self._value

    def on_change(self, callback: Callable[[Registry], None]) -> None:
        """Calls `callback` with each new value from now on. It must not raise."""
        self._callbacks.append(callback)

    def refresh(self) -> bool:
        """Reads again if a file is another one now; whether there is a new value."""
        reading = self._read_if_changed()
        return reading is not None and self._take(reading)

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[LiveRegistry]:
        """Watches the files as long as the context lasts."""
        watcher = asyncio.create_task(self._watch(), name="registry")
        try:
            yield self
        finally:
            watcher.cancel()
            with suppress(asyncio.CancelledError):
                await watcher

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self.poll_seconds)
            try:
                reading = await asyncio.to_thread(self._read_if_changed)
                if reading is not None:
                    self._take(reading)
            except Exception as error:  # noqa: BLE001 - a fault here must not end the watching
                logger.error("registry not read", action="registry.failed", error_type=type(error).__name__)  # noqa: TRY400 - words may quote the file

    def _read_if_changed(self) -> Reading | None:
        if all(stamp(path) == seen for path, seen in self._stamps.items()):
            return None
        return read_registry(self.path)

    def _take(self, reading: Reading) -> bool:
        # A file that can't be used may not name its secrets any more: the known ones stay under watch.
        before = {path: stamp(path) for path in self._stamps} if reading.registry is None else {}
        self._stamps = {**before, **reading.stamps}
        self.problems = tuple(reading.problems)
        if reading.registry is None:
            self.refused_count += 1
            logger.error(
                "registry refused", action="registry.refused", problems=len(self.problems), first=self.problems[0]
            )
            return False
        self._value = reading.registry
        self.reloaded_count += 1
        logger.info("registry reloaded", action="registry.reloaded", accounts=len(self._value.accounts))
        for callback in self._callbacks:
            callback(self._value)
        return True
