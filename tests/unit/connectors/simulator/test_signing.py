from __future__ import annotations

import pytest

from connectors.simulator.signing import signature


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            b'{"object":"whatsapp_business_account","entry":[]}',
            "sha256=dec6a680679a968e7e0319355b23599cbfc54502c0784668e9618baa0c633756",
        ),
        (
            b'{"object": "whatsapp_business_account", "entry": []}',
            "sha256=56cbbaf4961c6cfdae48b7f116c047e5eb513d2c931baae63a2bc1afd26f803a",
        ),
    ],
)
def test_signature_is_the_one_known_for_these_bytes(body: bytes, expected: str) -> None:
    assert signature("test_app_secret", body) == expected
