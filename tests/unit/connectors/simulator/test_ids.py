from __future__ import annotations

from base64 import b64decode

from connectors.simulator import Customer
from connectors.simulator.cast import cast, moved
from connectors.simulator.ids import Ids, user_id_of


def test_a_wamid_holds_the_phone_number_in_base64() -> None:
    wamid = Ids(seed=1).wamid("270000000042")

    assert b"270000000042" in b64decode(wamid.removeprefix("wamid."))


def test_ids_depend_on_seed_and_run_only() -> None:
    def made(seed: int, run: int) -> tuple[str, str, str]:
        ids = Ids(seed=seed, run=run)
        return ids.wamid("27"), ids.media_id(), ids.token()

    assert made(1, 0) == made(1, 0)
    assert len({made(1, 0), made(1, 1), made(2, 0)}) == 3


def test_ids_of_a_run_do_not_repeat() -> None:
    ids = Ids(seed=1)

    assert len({ids.wamid("27") for _ in range(5_000)}) == 5_000
    assert len({ids.media_id() for _ in range(5_000)}) == 5_000
    assert all(ids.media_id().isdecimal() for _ in range(100))


def test_a_contact_shows_what_the_customer_shows() -> None:
    nameless = Customer(user_id="ZA.1", name="A B", username="@ab")
    full = Customer(user_id="ZA.2", name="C", phone="27", parent_user_id="ZA.ENT.1")

    assert nameless.contact() == {"profile": {"name": "A B", "username": "@ab"}, "user_id": "ZA.1"}
    assert full.contact() == {
        "profile": {"name": "C"},
        "user_id": "ZA.2",
        "wa_id": "27",
        "parent_user_id": "ZA.ENT.1",
    }


def test_no_phone_number_of_the_cast_can_be_anyones() -> None:
    for telling in range(50):
        people = cast(7, telling)
        for person in (people.member, people.both, people.neighbour, moved(people.member, people)):
            assert person.phone is not None
            assert person.phone.startswith("2700")
            assert person.user_id == user_id_of(person.phone)
        assert people.username_only.phone is None
        assert people.username_only.username is not None
