"""Registry files for tests: a good one, and edits of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

GOOD = """
[tenants.acme]
zone = "Africa/Johannesburg"
key_file = "secrets/acme.key"
erase_after_seconds = 60

[apps.acme-app]
provider = "whatsapp_cloud"
tenant = "acme"
app_id = "1234567890"
secret_files = ["secrets/app.secret", "secrets/app.next"]
verify_token_file = "secrets/app.verify"

[accounts.claims]
tenant = "acme"
app = "acme-app"
id = "106540352242922"
group = "102290129340398"
token_file = "secrets/claims.token"
posture = {storage = "local", region = "ZA"}
"""

KEY = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
SECRETS = {
    "acme.key": KEY,
    "app.secret": "app-secret-1",
    "app.next": "app-secret-2\n",
    "app.verify": "verify-me",
    "claims.token": "EAAGtoken123",
}


def write(folder: Path, text: str = GOOD) -> Path:
    """Lays a registry and its secrets out in a folder; the registry's path."""
    secrets = folder / "secrets"
    secrets.mkdir(mode=0o700, exist_ok=True)
    for name, value in SECRETS.items():
        path = secrets / name
        path.touch(mode=0o600)
        path.write_text(value)
    path = folder / "custody.toml"
    path.write_text(text)
    return path
