"""Settings made from a seed: one app, one account and one number for each company."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connectors.simulator.config import AppConfig, NumberConfig, SimulatorConfig, WabaConfig
from connectors.simulator.ids import Ids, digits

if TYPE_CHECKING:
    from connectors.simulator.config import Posture

NAMES = ("Umbrella Mutual", "Harbour Life", "Protea Cover", "Karoo Assurance")


def sample(
    *, companies: int = 2, seed: int = 1, callback_url: str | None = None, posture: Posture = "default"
) -> SimulatorConfig:
    """Settings for so many companies. Their secrets and tokens come from the seed: they open nothing real."""
    places = range(companies)
    return SimulatorConfig(
        seed=seed,
        apps=tuple(_app(seed, place, callback_url) for place in places),
        wabas=tuple(
            WabaConfig(waba_id=_id(seed, place, "waba"), app_ids=(_id(seed, place, "app"),), name=_name(place))
            for place in places
        ),
        numbers=tuple(_number(seed, place, posture) for place in places),
    )


def _app(seed: int, place: int, callback_url: str | None) -> AppConfig:
    ids = Ids(seed=seed, run=-1 - place)
    return AppConfig(
        app_id=_id(seed, place, "app"),
        secret=ids.token().lower(),
        verify_token=ids.token(24).lower(),
        callback_url=callback_url,
    )


def _number(seed: int, place: int, posture: Posture) -> NumberConfig:
    return NumberConfig(
        phone_number_id=_id(seed, place, "number"),
        display_phone_number=f"2700000{place:04d}",
        waba_id=_id(seed, place, "waba"),
        access_token="EAA" + Ids(seed=seed, run=-1_001 - place).token(60),
        verified_name=_name(place),
        posture=posture,
    )


def _name(place: int) -> str:
    return NAMES[place % len(NAMES)]


def _id(seed: int, place: int, what: str) -> str:
    return "1" + digits(14, seed, place, what)
