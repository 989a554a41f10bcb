"""Which partitions stand still."""

from __future__ import annotations

from broker.core.topics import TopicPartition
from broker.http import Liveness
from broker.workers.deliver import Pulse
from broker.workers.watch import Standstills

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
