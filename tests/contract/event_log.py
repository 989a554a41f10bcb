"""The contract of the event log: every implementation runs these cases.

A module of tests defines a class of its own from `EventLogContract`, and a fixture `logs`: a `LogFactory`, fresh for
each test. Nothing here knows how a log keeps its entries, and nothing waits for a time: only for what must come.
"""

from tests.contract.event_log_entries import EntryCases
from tests.contract.event_log_groups import GroupCases
from tests.contract.event_log_kit import LogFactory
from tests.contract.event_log_model import ModelCases
from tests.contract.event_log_positions import PositionCases


class EventLogContract(EntryCases, PositionCases, GroupCases, ModelCases):
    """All cases."""


__all__ = ["EventLogContract", "LogFactory"]
