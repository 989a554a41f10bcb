"""Which partitions stand still."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from broker.core.ports import Bounds
from broker.core.topics import TopicPartition
from broker.http import Liveness
from broker.workers.deliver import Pulse
from broker.workers.watch import Standstills, Watch
from tests.scripted_log import ScriptedSubscription, entry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from broker.core.ports import EventLog

LEFT = TopicPartition("custody.acme.messages.v1", 0)
RIGHT = TopicPartition("custody.acme.messages.v1", 1)


def test_a_partition_stands_still_from_the_first_look_at_which_it_had_not_moved() -> None:
    standstills = Standstills()
    assert standstills.look([LEFT, RIGHT], {LEFT: 5}, 10.0) == {LEFT: 0.0, RIGHT: 0.0}
    assert standstills.look([LEFT, RIGHT], {LEFT: 5, RIGHT: 1}, 13.0) == {LEFT: 3.0, RIGHT: 0.0}
    assert standstills.look([LEFT, RIGHT], {LEFT: 6, RIGHT: 1}, 14.0) == {LEFT: 0.0, RIGHT: 1.0}


def test_what_waits_for_nothing_is_forgotten() -> None:
    standstills = Standstills()
    standstills.look([LEFT], {LEFT: 5}, 10.0)
    assert standstills.look([], {}, 20.0) == {}
    assert standstills.look([LEFT], {LEFT: 5}, 30.0) == {LEFT: 0.0}


def test_liveness_names_loops_that_do_not_turn_and_partitions_that_do_not_move() -> None:
    liveness = Liveness(frozen_after_seconds=60.0)
    turning, standing, frozen = Pulse(beats=1), Pulse(beats=1, standing={LEFT: 61.0, RIGHT: 59.0}), Pulse(beats=1)
    pulses = {"turning": turning, "standing": standing, "frozen": frozen}
    assert liveness.frozen(pulses, 0.0) == ["standing custody.acme.messages.v1/0"]
    turning.beats, standing.beats = 2, 2
    assert liveness.frozen(pulses, 61.0) == ["frozen", "standing custody.acme.messages.v1/0"]


@dataclass
class Scene:
    """A partition of ten entries of which two are committed, and what its reader says of itself."""

    now: float = 0.0
    read: Mapping[TopicPartition, int] | None = field(default_factory=dict)
    pulse: Pulse = field(default_factory=Pulse)

    def watch(self, *, patience_seconds: float = 0.0) -> Watch:
        return Watch(
            log=cast("EventLog", self),
            group="readers",
            subscription=ScriptedSubscription([entry(LEFT.topic, 0)]),
            pulse=self.pulse,
            stop=asyncio.Event(),
            poll_seconds=0.0,
            monotonic=lambda: self.now,
            reached=lambda: self.read,
            patience_seconds=patience_seconds,
        )

    async def committed(self, _group: str, _topics: Sequence[str]) -> Mapping[TopicPartition, int]:
        return {LEFT: 2}

    async def bounds(self, _topics: Sequence[str]) -> Mapping[TopicPartition, Bounds]:
        return {LEFT: Bounds(first=0, end=10)}

    async def after(self, watch: Watch, seconds: float) -> Mapping[TopicPartition, float]:
        """What one more look sees then."""
        self.now += seconds
        return await watch._look()


async def test_what_was_read_does_not_stand_still_though_it_is_not_committed() -> None:
    scene = Scene(read={LEFT: 10})
    watch = scene.watch()
    assert await scene.after(watch, 5) == {}
    scene.read = {LEFT: 4}
    assert await scene.after(watch, 5) == {LEFT: 0.0}
    assert await scene.after(watch, 5) == {LEFT: 5.0}
    scene.read = {LEFT: 3}
    assert await scene.after(watch, 5) == {LEFT: 0.0}, "one that reads again from further back does move"


async def test_a_reader_that_has_said_nothing_yet_is_measured_by_what_it_committed() -> None:
    scene = Scene()
    watch = scene.watch()
    assert await scene.after(watch, 5) == {LEFT: 0.0}
    assert await scene.after(watch, 5) == {LEFT: 5.0}


async def test_nothing_stands_still_where_reading_is_held_up_on_purpose() -> None:
    scene = Scene()
    watch = scene.watch()
    await scene.after(watch, 5)
    scene.read = None
    assert await scene.after(watch, 5) == {}
    scene.read = {}
    scene.pulse.waiting_for = "log_unavailable"
    assert await scene.after(watch, 5) == {}


async def test_a_reader_that_looks_now_and_then_is_given_time() -> None:
    scene = Scene()
    watch = scene.watch(patience_seconds=30)
    await scene.after(watch, 5)
    assert await scene.after(watch, 29) == {LEFT: -1.0}
    assert await scene.after(watch, 3) == {LEFT: 2.0}
