"""The settings that a local broker is started with."""

from __future__ import annotations

from pathlib import Path

import pytest

from broker.core.errors import SettingsError
from broker.log.kafka.local import ClusterOptions
from broker.log.kafka.local.__main__ import main
from broker.log.kafka.local.properties import NodePorts, properties, refuse_unfit

PORTS = [NodePorts(clients=1, controller=2, apart=3)]


def test_where_the_data_stays_an_append_is_on_disk_before_it_is_answered() -> None:
    kept = properties(ClusterOptions(directory=Path("kafka")), 1, PORTS, Path("data"))
    assert kept["log.flush.interval.messages"] == "1"
    assert "log.flush.interval.messages" not in properties(ClusterOptions(), 1, PORTS, Path("data"))


@pytest.mark.parametrize(("port", "brokers"), [(99999, 1), (65536, 1), (65535, 2), (-1, 1)])
def test_a_port_that_there_is_not_is_named(port: int, brokers: int) -> None:
    with pytest.raises(SettingsError, match=r"^port: must .* 65535, or be 0; for example 9092$"):
        refuse_unfit(ClusterOptions(port=port, brokers=brokers))


@pytest.mark.parametrize(("port", "brokers"), [(0, 3), (65535, 1), (65533, 3)])
def test_every_other_port_will_do(port: int, brokers: int) -> None:
    refuse_unfit(ClusterOptions(port=port, brokers=brokers))


def test_the_command_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--port", "99999"]) == 1
    assert "port: must" in capsys.readouterr().err
