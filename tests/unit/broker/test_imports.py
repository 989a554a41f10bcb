"""What every process of Custody imports, whatever it works with."""

from __future__ import annotations

import subprocess
import sys

CLIENTS = ("aiobotocore", "aiohttp", "aiokafka", "faststream", "motor", "pymongo")
"""Each is some 10 to 20 MiB of every process that imports it."""


def test_no_process_imports_clients_of_servers_before_it_uses_them() -> None:
    program = f"import sys, broker.cli, broker.run; print(*set({CLIENTS!r}) & set(sys.modules))"
    done = subprocess.run((sys.executable, "-c", program), capture_output=True, check=True, text=True)
    assert done.stdout.split() == []
