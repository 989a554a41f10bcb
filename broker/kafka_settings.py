"""The settings of a log on Kafka: which go together, and how they become the log's options.

Secrets that lie in files are read again at each login, so that a rotated one needs no restart.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from broker.secret_files import file_fault, secret_reader
from broker.settings import LogSettings
from broker.store_settings import PostgresSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from broker.log.kafka.options import KafkaLogOptions, KafkaSecurity

POSTGRES_SETTINGS = frozenset(PostgresSettings.model_fields)
"""What a log on Kafka has no use for."""
KAFKA_SETTINGS = frozenset(LogSettings.model_fields) - POSTGRES_SETTINGS - {"kind", "entry_bytes"}
"""What a log on Postgres has no use for."""
_FILES = ("password_file", "token_file", "ca_file", "certificate_file", "key_file")


def faults(log: LogSettings) -> Iterator[tuple[str, str]]:
    """Each setting that lacks another or is not used with the others, and what is wrong with it."""
    if log.min_insync > log.replication:
        yield "min_insync", f"is more than the {log.replication} replicas there are to be"
    yield from _login_faults(log)
    yield from _tls_faults(log)


def file_faults(log: LogSettings) -> Iterator[tuple[str, str]]:
    """Each setting whose file can't be used."""
    for name in _FILES:
        path: Path | None = getattr(log, name)
        if path is not None and (fault := file_fault(path)):
            yield name, fault


def kafka_options(log: LogSettings) -> KafkaLogOptions:
    """The options of the log."""
    from broker.log.kafka.options import KafkaLogOptions  # noqa: PLC0415 - aiokafka comes along, for those who use it

    options = KafkaLogOptions(
        bootstrap=log.bootstrap,
        security=_security(log),
        client_id=log.client_id,
        instance=log.instance,
        generation=log.generation,
        replication=log.replication,
        min_insync=log.min_insync,
        compression=log.compression,
        linger_seconds=log.linger_seconds,
        session_seconds=log.session_seconds,
        heartbeat_seconds=log.heartbeat_seconds,
        poll_seconds=log.poll_seconds,
        metadata_seconds=log.metadata_seconds,
        fetch_bytes=log.fetch_bytes,
        request_seconds=log.request_seconds,
    )
    return options if log.entry_bytes is None else replace(options, entry_bytes=log.entry_bytes)


def _security(log: LogSettings) -> KafkaSecurity:
    from broker.log.kafka.options import KafkaSecurity  # noqa: PLC0415 - as above

    return KafkaSecurity(
        protocol=log.protocol,
        mechanism=log.mechanism,
        username=log.username,
        password=_password(log),
        token=secret_reader(log.token_file) if log.token_file is not None else None,
        ca_file=log.ca_file,
        certificate_file=log.certificate_file,
        key_file=log.key_file,
    )


def _password(log: LogSettings) -> Callable[[], str] | None:
    if log.password_file is not None:
        return secret_reader(log.password_file)
    return log.password.get_secret_value if log.password is not None else None


def _login_faults(log: LogSettings) -> Iterator[tuple[str, str]]:
    by_sasl = log.protocol.startswith("sasl")
    if by_sasl and log.mechanism is None:
        yield "mechanism", f"is missing, and {log.protocol} needs one"
    if not by_sasl and log.mechanism is not None:
        yield "mechanism", f"is not used with {log.protocol}: leave it out, or make protocol sasl_ssl"
        return
    by_password = log.mechanism is not None and log.mechanism.startswith("scram")
    if by_password:
        yield from _password_faults(log)
    if log.mechanism == "oauthbearer" and log.token_file is None:
        yield "token_file", "is missing, and oauthbearer needs it"
    unused = () if by_password else ("username", "password", "password_file")
    for name in (*unused, *(() if log.mechanism == "oauthbearer" else ("token_file",))):
        if getattr(log, name) is not None:
            yield (
                name,
                f"is not used with {log.mechanism or log.protocol}: leave it out, or choose a mechanism that does",
            )


def _password_faults(log: LogSettings) -> Iterator[tuple[str, str]]:
    if log.username is None:
        yield "username", f"is missing, and {log.mechanism} needs it"
    if log.password is None and log.password_file is None:
        yield "password", "is missing, and so is password_file"
    if log.password is not None and log.password_file is not None:
        yield "password", "is given beside password_file: leave one of them out"


def _tls_faults(log: LogSettings) -> Iterator[tuple[str, str]]:
    for one, other in (("certificate_file", "key_file"), ("key_file", "certificate_file")):
        if getattr(log, one) is not None and getattr(log, other) is None:
            yield other, f"is missing beside {one}"
    if not log.protocol.endswith("ssl"):
        for name in ("ca_file", "certificate_file", "key_file"):
            if getattr(log, name) is not None:
                yield name, f"is not used with {log.protocol}: leave it out, or make protocol ssl or sasl_ssl"
