from __future__ import annotations

import socket
import time

import aiohttp
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from connectors.simulator import serving


async def _hello(_: object) -> Response:
    return PlainTextResponse("hello")


APP = Starlette(routes=[Route("/", _hello)])


async def test_small_answers_do_not_wait_for_one_another() -> None:
    waits = []
    async with serving(APP) as url, aiohttp.ClientSession() as session:
        for _ in range(20):
            began = time.monotonic()
            async with session.get(url) as answer:
                await answer.read()
            waits.append(time.monotonic() - began)

    # With Nagle's algorithm on, each would take the 40 ms of a delayed acknowledgement.
    assert min(waits[1:]) < 0.03


async def test_a_taken_port_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="in use"):
            async with serving(APP, port=taken.getsockname()[1]):
                pass


async def test_leaving_closes_the_port() -> None:
    async with serving(APP) as url:
        pass
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(url)
