"""The event log on Kafka: FastStream on aiokafka, behind the same seam as the log on Postgres."""

from broker.log.errors import UnknownTopicError
from broker.log.kafka.log import KafkaLog
from broker.log.kafka.options import KafkaLogOptions, KafkaSecurity
from broker.log.kafka.partitions import partition_of
from broker.log.kafka.subscription import KafkaSubscription

__all__ = [
    "KafkaLog",
    "KafkaLogOptions",
    "KafkaSecurity",
    "KafkaSubscription",
    "UnknownTopicError",
    "partition_of",
]
