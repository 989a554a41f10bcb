"""Whether a server that was just started takes blobs: its gateway answers, and its master knows of a volume server."""

from __future__ import annotations

import aiohttp

from backends.s3.embedded.ports import HOST

_TIMEOUT = aiohttp.ClientTimeout(total=5)


async def serves(*, gateway: int, master: int) -> bool:
    """Asked once, without a login."""
    try:
        async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
            async with session.get(f"http://{HOST}:{gateway}/healthz") as response:
                if response.status != 200:  # noqa: PLR2004 - HTTP's own number
                    return False
            async with session.get(f"http://{HOST}:{master}/dir/status") as response:
                return '"DataNodes":[' in await response.text()
    except (aiohttp.ClientError, OSError, TimeoutError):
        return False
