"""The event log on Postgres."""

from broker.log.errors import UnknownTopicError
from broker.log.postgres.log import PostgresLog
from broker.log.postgres.options import PostgresLogOptions
from broker.log.postgres.rows import partition_of
from broker.log.postgres.subscription import PostgresSubscription
from broker.log.postgres.topics import PostgresTopics

__all__ = [
    "PostgresLog",
    "PostgresLogOptions",
    "PostgresSubscription",
    "PostgresTopics",
    "UnknownTopicError",
    "partition_of",
]
