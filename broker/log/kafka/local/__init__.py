"""A real Kafka without an installation, for the demo, the tests and whoever develops against it.

Kafka's programs come from Maven Central, once; Java is the machine's, or a wheel's.
"""

from broker.log.kafka.local.cluster import KafkaCluster
from broker.log.kafka.local.errors import LocalKafkaError
from broker.log.kafka.local.node import LocalBroker
from broker.log.kafka.local.options import ClusterOptions, ClusterSecurity, Login

__all__ = ["ClusterOptions", "ClusterSecurity", "KafkaCluster", "LocalBroker", "LocalKafkaError", "Login"]
