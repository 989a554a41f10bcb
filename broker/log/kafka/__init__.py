"""The event log on Kafka: FastStream on aiokafka, behind the same seam as the log on Postgres."""
