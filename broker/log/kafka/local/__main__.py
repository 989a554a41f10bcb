"""`python -m broker.log.kafka.local`: a Kafka for a developer, which runs until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from broker.core.errors import CustodyError
from broker.log.kafka.local import ClusterOptions, KafkaCluster

if TYPE_CHECKING:
    from collections.abc import Sequence

_PORT = 9092


def main(words: Sequence[str] | None = None) -> int:
    """Runs a cluster and prints where it is reached, as host:port,.. on standard output; 1 if it did not start."""
    options = _options(words)
    try:
        asyncio.run(_serve(options))
    except CustodyError as error:
        print(error, file=sys.stderr)  # noqa: T201 - the command's output
        return 1
    return 0


def _options(words: Sequence[str] | None) -> ClusterOptions:
    parser = argparse.ArgumentParser(prog="python -m broker.log.kafka.local", description=__doc__)
    parser.add_argument("--brokers", type=int, default=1, help="how many (default: 1)")
    parser.add_argument("--port", type=int, default=_PORT, help=f"of the first broker; 0: free ones (default: {_PORT})")
    parser.add_argument("--directory", type=Path, help="where the data stays; without it nothing does")
    given = parser.parse_args(words)
    return ClusterOptions(brokers=given.brokers, port=given.port, directory=given.directory)


async def _serve(options: ClusterOptions) -> None:
    ended = asyncio.Event()
    for one in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(one, ended.set)
    print("Starting Kafka (the first time fetches it)", file=sys.stderr)  # noqa: T201 - the command's output
    async with await KafkaCluster.start(options) as cluster:
        kept = "kept there" if options.directory else "removed at the end"
        print(",".join(cluster.bootstrap), flush=True)  # noqa: T201 - as above
        print(f"Data in {cluster.root}, {kept}. Ctrl-C ends it.", file=sys.stderr)  # noqa: T201 - as above
        await ended.wait()


if __name__ == "__main__":
    sys.exit(main())
