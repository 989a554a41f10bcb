"""What every process of Custody has in its memory, whatever it works with."""

from __future__ import annotations

import subprocess
import sys

CLIENTS = ("aiobotocore", "aiohttp", "aiokafka", "faststream", "motor", "pymongo")
"""Each is some 10 to 20 MiB of every process that imports it."""


def test_a_process_has_no_clients_of_servers_it_does_not_use() -> None:
    program = f"import sys, broker.cli, broker.run; print(*set({CLIENTS!r}) & set(sys.modules))"
    done = subprocess.run((sys.executable, "-c", program), capture_output=True, check=True, text=True)
    assert done.stdout.split() == []
