from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from connectors.simulator import (
    ConfigError,
    Misbehaviour,
    NotStartedError,
    RefusedInProductionError,
    Simulator,
    SimulatorConfig,
    WabaConfig,
    sample,
)

if TYPE_CHECKING:
    from pathlib import Path


def test_settings_survive_plain_data() -> None:
    config = replace(sample(seed=5), misbehaviour=Misbehaviour(lost=0.25))

    assert SimulatorConfig.from_mapping(config.to_mapping()) == config


def test_settings_come_from_toml(tmp_path: Path) -> None:
    path = tmp_path / "provider.toml"
    path.write_text(
        """
        [simulator]
        seed = 9
        [[simulator.apps]]
        app_id = "1"
        secret = "s"
        verify_token = "v"
        [[simulator.wabas]]
        waba_id = "2"
        app_ids = ["1"]
        [[simulator.numbers]]
        phone_number_id = "3"
        display_phone_number = "27000000001"
        waba_id = "2"
        access_token = "t"
        posture = "no_storage"
        """
    )

    config = SimulatorConfig.from_toml(path)

    assert (config.seed, config.numbers[0].posture, config.apps[0].callback_url) == (9, "no_storage", None)


def test_a_broken_file_is_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "provider.toml"
    path.write_text("seed = ")
    with pytest.raises(ConfigError, match="is not TOML"):
        SimulatorConfig.from_toml(path)


def test_a_wrong_value_is_named() -> None:
    mapping = sample().to_mapping() | {"seed": "seven"}
    with pytest.raises(ConfigError, match="seed"):
        SimulatorConfig.from_mapping(mapping)


def test_a_waba_of_an_unknown_app_is_refused() -> None:
    config = sample()
    with pytest.raises(ConfigError, match="app_ids"):
        replace(config, wabas=(WabaConfig(waba_id="9", app_ids=("nobody",)), *config.wabas))


def test_an_id_names_one_thing_only() -> None:
    config = sample(companies=1)
    twin = replace(config.numbers[0], phone_number_id=config.apps[0].app_id)
    with pytest.raises(ConfigError, match="id of its own"):
        replace(config, numbers=(twin,))


def test_no_secret_shows_in_the_settings_as_printed() -> None:
    config = sample()

    shown = repr(config)

    for secret in (config.apps[0].secret, config.apps[0].verify_token, config.numbers[0].access_token):
        assert secret not in shown


def test_the_same_seed_gives_the_same_settings() -> None:
    assert sample(seed=4) == sample(seed=4) != sample(seed=5)


@pytest.mark.parametrize("profile", ["production", " Production "])
def test_the_simulator_refuses_a_production_profile(monkeypatch: pytest.MonkeyPatch, profile: str) -> None:
    monkeypatch.setenv("CUSTODY_PROFILE", profile)
    with pytest.raises(RefusedInProductionError, match="CUSTODY_PROFILE"):
        Simulator(sample())


def test_the_simulator_takes_any_other_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUSTODY_PROFILE", "demo")
    Simulator(sample())


def test_a_simulator_that_is_not_running_says_so() -> None:
    with pytest.raises(NotStartedError):
        Simulator(sample()).summary()
