"""What is looked at and could not be seen is told: no finding at all would read as none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from broker import inspecting
from broker.core.ports import Finding
from broker.core.registry import Registry
from broker.demo.ports import free_ports
from broker.inspecting import inspect, topic_findings
from broker.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

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


async def test_what_is_wrong_with_the_second_store_is_told_by_the_names_of_its_own_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def refused(_settings: Settings, server: str) -> list[Finding]:
        name = f"CUSTODY_{server.upper()}__KMS_KEY"
        return [Finding(level="problem", subject=server, message=f"refused: look at {name}", remedy=f"{name}=..")]

    monkeypatch.setattr(inspecting, "server_findings", refused)
    settings = Settings.model_validate({"registry": tmp_path / "none.toml", "other": {"store": "s3_mongo"}})
    found = {one.subject: one async for one in inspect(settings, ask_providers=False)}

    assert found["blobs"].remedy == "CUSTODY_BLOBS__KMS_KEY=.."
    assert found["other blobs"].message == "refused: look at CUSTODY_OTHER__BLOBS__KMS_KEY"
    assert found["other blobs"].remedy == "CUSTODY_OTHER__BLOBS__KMS_KEY=.."
    assert found["other records"].remedy == "CUSTODY_OTHER__RECORDS__KMS_KEY=.."
