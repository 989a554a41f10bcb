"""When a store looks for records before it inserts them."""

from broker.core.hope import Hope
from broker.core.ports import Answer


def answers(*outcomes: str) -> list[Answer]:
    return [Answer(outcome=outcome, record_id=f"rec_{number}") for number, outcome in enumerate(outcomes)]


def test_there_is_hope_until_something_was_there_already() -> None:
    hope = Hope()
    for _ in range(3):
        assert hope.for_next()
        hope.learn(answers("stored", "stored", "replayed", "dead"))


def test_after_a_repetition_it_looks_for_a_while_and_then_hopes_again() -> None:
    for outcome in ("duplicate", "variant"):
        hope = Hope()
        hope.learn(answers("stored", outcome))
        looks = [not hope.for_next() for _ in range(50)]
        assert looks[0]
        assert looks == sorted(looks, reverse=True)
        assert not looks[-1]


def test_each_repetition_begins_the_while_anew() -> None:
    hope = Hope()
    hope.learn(answers("duplicate"))
    while not hope.for_next():
        hope.learn(answers("stored"))
    hope.learn(answers("duplicate"))
    assert not hope.for_next()
