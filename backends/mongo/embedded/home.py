"""The home folder of one replica set: each member's data and log, the key they share, and the superuser's password."""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backends.embedded.folder import Folder, write
from backends.mongo.embedded.kind import EmbeddedMongoError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_KEY_BYTES = 96


@dataclass(frozen=True, slots=True, kw_only=True)
class Home(Folder):
    """The folder of one replica set. The data and the key are the members' account's, all else is the owner's."""

    def data(self, number: int) -> Path:
        return self.root / f"member-{number}"

    def log(self, number: int) -> Path:
        return self.root / f"member-{number}.log"

    @property
    def key_file(self) -> Path:
        return self.root / "key"

    def prepare(self, *, members: int) -> None:
        """Makes the members' folders and their key, unless they are there."""
        self._check_size(members)
        for number in range(1, members + 1):
            self.hand_over(self.data(number))
            self._check_owner(self.data(number))
        if not self.key_file.exists():
            unfinished = self.root / "key.new"
            write(unfinished, base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode(), mode=0o400, **self._ids())
            unfinished.rename(self.key_file)

    def password(self) -> str:
        """The superuser's password: kept in a file (mode 0600), and made anew where that is missing."""
        path = self.root / "superuser.password"
        if not path.exists():
            unfinished = self.root / "superuser.password.new"
            write(unfinished, secrets.token_urlsafe(24), mode=0o600)
            unfinished.rename(path)
        return path.read_text()

    def ports(self) -> Sequence[int]:
        """Where the members listened last; nothing if they never did."""
        path = self.root / "ports.json"
        return [int(port) for port in json.loads(path.read_text())] if path.exists() else []

    def note_ports(self, ports: Sequence[int]) -> None:
        unfinished = self.root / "ports.json.new"
        write(unfinished, json.dumps(list(ports)), mode=0o600)
        unfinished.rename(self.root / "ports.json")

    def _ids(self) -> dict[str, int]:
        return {"uid": self.account.uid, "gid": self.account.gid}

    def _check_size(self, members: int) -> None:
        found = len([path for path in self.root.glob("member-*") if path.is_dir()])
        if found not in {0, members}:
            raise EmbeddedMongoError(
                f"{self.root} was made for {found} members, not {members}: ask for as many, or name another directory"
            )

    def _check_owner(self, data: Path) -> None:
        owner = data.stat().st_uid
        if owner != self.account.uid:
            raise EmbeddedMongoError(
                f"{data} belongs to uid {owner}, and the server would run as uid {self.account.uid}: "
                "start it as the account that made it"
            )
