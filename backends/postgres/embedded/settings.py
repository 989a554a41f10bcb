"""The server's settings: which may be tuned, and which are part of what it promises."""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.core.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

TUNABLE: Mapping[str, str] = {
    "jit": "off",  # short statements: compiling them costs more than it saves
    "lc_messages": "C",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] ",
    "log_timezone": "UTC",
    "timezone": "UTC",
}

# Nothing of a statement or a row reaches the server's log: an error is told to the client that caused it.
# Its one-line message alone can hold a value, so errors stay out too; LOG, FATAL and PANIC remain.
DISCREET: Mapping[str, str] = {
    "debug_print_parse": "off",
    "debug_print_plan": "off",
    "debug_print_rewritten": "off",
    "log_destination": "stderr",
    "log_error_verbosity": "terse",
    "log_min_duration_sample": "-1",
    "log_min_duration_statement": "-1",
    "log_min_error_statement": "panic",
    "log_min_messages": "log",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_statement": "none",
    "log_statement_sample_rate": "0",
    "log_transaction_sample_rate": "0",
    "logging_collector": "off",
    "password_encryption": "scram-sha-256",
}

_OURS = frozenset(
    {
        "fsync",
        "full_page_writes",
        "hba_file",
        "listen_addresses",
        "port",
        "unix_socket_directories",
        "unix_socket_permissions",
    }
)


def refuse_fixed(settings: Mapping[str, str]) -> None:
    """Raises SettingsError, a finding for each setting that is not the caller's to choose."""
    fixed = sorted(name for name in settings if name in _OURS or name in DISCREET)
    if fixed:
        raise SettingsError([f"settings.{name}: fixed for an embedded server; leave it out" for name in fixed])
