"""Reads JSON that msgspec refuses: lone surrogates, bytes that are no UTF-8, NaN, numbers beyond a float.

Nothing is lost or made equal to something else: what has no place in a text or a number stays as the characters it was
written with. All texts that come out can be encoded as UTF-8.
"""

from __future__ import annotations

import json
import math

_INTEGER_DIGITS = 300


def lenient(data: bytes) -> object:
    """The value of a JSON text that is well-formed and not nested deeply; `ValueError` for anything else."""
    return _encodable(_decoder.decode(data.decode("utf-8", "surrogateescape")))


def _encodable(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, list):
        return [_encodable(one) for one in value]
    if isinstance(value, dict):
        return {_encodable(name): _encodable(one) for name, one in value.items()}
    return value


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) <= _INTEGER_DIGITS else digits


def _number(digits: str) -> float | str:
    number = float(digits)
    return number if math.isfinite(number) else digits


_decoder = json.JSONDecoder(strict=False, parse_int=_integer, parse_float=_number, parse_constant=str)
