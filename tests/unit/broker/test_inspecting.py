"""What is looked at and could not be seen is told: no finding at all would read as none."""

from __future__ import annotations

import pytest

from broker.core.registry import Registry
from broker.demo.ports import free_ports
from broker.inspecting import topic_findings
from broker.settings import Settings

NOBODY = Registry(tenants={}, apps={}, accounts={})


@pytest.mark.parametrize("kind", ["kafka", "postgres"])
async def test_a_log_that_stops_answering_is_a_problem_of_its_topics(kind: str) -> None:
    (port,) = free_ports(1)
    where = (
        {"kind": "kafka", "bootstrap": [f"127.0.0.1:{port}"], "request_seconds": 1.0}
        if kind == "kafka"
        else {"dsn": f"postgresql://custody:secret@127.0.0.1:{port}/custody"}
    )
    settings = Settings.model_validate({"log": where})
    (found,) = await topic_findings(settings, NOBODY)
    assert (found.level, found.subject) == ("problem", "topics")
    assert "can't be looked at: " in found.message
    assert "secret" not in found.message
