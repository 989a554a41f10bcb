"""The registry file: every fault in one line that names its key, and no line that quotes a value."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from broker.core.errors import SettingsError
from broker.core.registry import Posture
from broker.registry import load_registry, read_registry
from tests.unit.broker.registry_files import GOOD, KEY, write

if TYPE_CHECKING:
    from pathlib import Path


def test_a_good_file_becomes_a_registry(tmp_path: Path) -> None:
    registry = load_registry(write(tmp_path))
    tenant, app, account = registry.tenants["acme"], registry.apps["acme-app"], registry.accounts["claims"]
    assert (tenant.zone, tenant.erase_after_seconds) == ("Africa/Johannesburg", 60)
    assert (app.secrets, app.verify_token) == ((b"app-secret-1", b"app-secret-2"), "verify-me")
    assert (account.provider, account.token) == ("whatsapp_cloud", "EAAGtoken123")
    assert account.posture == Posture(storage="local", region="ZA")
    assert registry.account_of(provider="whatsapp_cloud", account="106540352242922") is account


WRONG = [
    ('zone = "Africa/Johannesburg"', 'zone = "Africa/Joburg"', "tenants.acme.zone: is not a zone of the IANA database"),
    ('zone = "Africa/Johannesburg"', "zone = 2", "tenants.acme.zone: is not text"),
    ('zone = "Africa/Johannesburg"', "", "tenants.acme.zone: is missing"),
    ("zone =", "zoen =", "tenants.acme.zoen: is not a name known here, did you mean zone?"),
    ("secrets/acme.key", "secrets/none.key", "tenants.acme.key_file: can't be read: no such file or directory"),
    ("secrets/acme.key", "secrets/app.secret", "tenants.acme.key_file: does not hold hexadecimal digits"),
    ("secrets/acme.key", "secrets", "tenants.acme.key_file: does not refer to a file"),
    ("secrets/acme.key", "env:CUSTODY_NO_SUCH", "tenants.acme.key_file: names a variable that is not set"),
    ("secrets/acme.key", "", "tenants.acme.key_file: is empty"),
    ("erase_after_seconds = 60", "erase_after_seconds = -1", "tenants.acme.erase_after_seconds: is too small"),
    ("[tenants.acme]", "[tenants.Acme]", "tenants.Acme: is not a name"),
    ("[tenants.acme]", "[tenants.unclaimed]", "tenants.unclaimed: is reserved"),
    ("[tenants.acme]", "[tenant.acme]", "tenant: is not a table known here, did you mean tenants?"),
    ("[accounts.claims]", "[accounts.a27821234567]", "has a long number in its name"),
    ('provider = "whatsapp_cloud"', 'provider = "telex"', "apps.acme-app.provider: names a provider there is no"),
    ('tenant = "acme"\napp_id', 'tenant = "acne"\napp_id', "apps.acme-app.tenant: names none of [tenants.*], did you"),
    ('app_id = "1234567890"', "app_id = 1234567890", "apps.acme-app.app_id: is not text"),
    ('["secrets/app.secret", "secrets/app.next"]', "[]", "apps.acme-app.secret_files: is empty"),
    ('["secrets/app.secret", "secrets/app.next"]', '"secrets/app.secret"', "apps.acme-app.secret_files: is not a list"),
    ('"secrets/app.next"', '"secrets/none"', "apps.acme-app.secret_files: can't be read"),
    ('app = "acme-app"', 'app = "acme"', "accounts.claims.app: names none of [apps.*]"),
    ("\ntoken_file =", "\ntoken =", "accounts.claims.token: is not a name known here, did you mean token_file?"),
    ('region = "ZA"', 'region = "Zuid"', "accounts.claims.posture.region: is not a value that fits here"),
    (', region = "ZA"', "", "accounts.claims.posture.region: is missing, and local storage needs one"),
    ('storage = "local"', 'storage = "default"', "accounts.claims.posture.region: goes with local storage only"),
    ('storage = "local"', 'storage = "none"', "accounts.claims.posture.storage: is not one of"),
    ("[accounts.claims]", "[accounts.claims", "custody.toml: can't be used: custody.toml is not TOML (at line 14"),
]


@pytest.mark.parametrize(("old", "new", "told"), WRONG)
def test_a_fault_is_one_line_that_names_its_key_and_has_an_example(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    assert old in GOOD
    lines = read_registry(write(tmp_path, GOOD.replace(old, new, 1))).problems
    assert any(told in line for line in lines), lines
    assert all("; for example " in line and "\n" not in line for line in lines)


def test_all_faults_are_found_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("Africa/Johannesburg", "Nowhere").replace("app.verify", "none").replace("ZA", "za")
    subjects = {line.partition(":")[0] for line in read_registry(write(tmp_path, text)).problems}
    assert subjects == {"tenants.acme.zone", "apps.acme-app.verify_token_file", "accounts.claims.posture.region"}


@pytest.mark.parametrize("key", ["00" * 32, KEY[:62], "0011" * 16])
def test_a_weak_key_is_refused(tmp_path: Path, key: str) -> None:
    path = write(tmp_path)
    (tmp_path / "secrets" / "acme.key").write_text(key)
    (line,) = read_registry(path).problems
    assert line.startswith("tenants.acme.key_file: holds a weak key")
    assert key not in line


def test_two_tenants_do_not_share_a_key(tmp_path: Path) -> None:
    more = '\n[tenants.other]\nzone = "UTC"\nkey_file = "secrets/acme.key"\n'
    (line,) = read_registry(write(tmp_path, GOOD + more)).problems
    assert "tenants.other.key_file: holds the key of tenants.acme.key_file too" in line


def test_one_number_is_registered_once(tmp_path: Path) -> None:
    again = GOOD[GOOD.index("[accounts.claims]") :].replace("claims]", "sales]")
    (line,) = read_registry(write(tmp_path, GOOD + again)).problems
    assert line.startswith("accounts.sales.id: is the id of accounts.claims too")


def test_an_account_belongs_to_its_apps_tenant_unless_the_app_is_shared(tmp_path: Path) -> None:
    (tmp_path / "other.key").write_text(KEY[::-1])
    text = GOOD.replace('[accounts.claims]\ntenant = "acme"', '[accounts.claims]\ntenant = "other"')
    text += '\n[tenants.other]\nzone = "UTC"\nkey_file = "other.key"\n'
    (line,) = read_registry(write(tmp_path, text)).problems
    assert line.startswith("accounts.claims.tenant: is not the tenant of apps.acme-app, nor one that it is shared with")
    shared = text.replace('app_id = "1234567890"', 'app_id = "1234567890"\nshared_with = ["other"]')
    assert load_registry(write(tmp_path, shared)).accounts["claims"].tenant == "other"


def test_a_secret_may_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAIMS_TOKEN", "EAAGother")
    text = GOOD.replace("secrets/claims.token", "env:CLAIMS_TOKEN")
    assert load_registry(write(tmp_path, text)).accounts["claims"].token == "EAAGother"


def test_a_secret_that_everybody_can_read_is_a_warning(tmp_path: Path) -> None:
    path = write(tmp_path)
    (tmp_path / "secrets" / "claims.token").chmod(0o644)
    reading = read_registry(path)
    assert reading.registry is not None
    assert [(one.level, one.subject) for one in reading.findings] == [("warning", "accounts.claims.token_file")]


@pytest.mark.parametrize("text", ["one\ntwo", "", "   ", "\xff\xfe"])
def test_a_secret_is_one_line_of_text(tmp_path: Path, text: str) -> None:
    path = write(tmp_path)
    (tmp_path / "secrets" / "claims.token").write_bytes(text.encode("latin-1"))
    (line,) = read_registry(path).problems
    assert line.startswith("accounts.claims.token_file: does not hold one line of text")


def test_no_finding_quotes_a_secret_that_stands_in_the_wrong_place(tmp_path: Path) -> None:
    secret = "EAAGm0PX4ZCpsBAKZCZBZC"
    places = (
        '"secrets/claims.token"',
        '"secrets/acme.key"',
        '"whatsapp_cloud"',
        '"acme-app"',
        '"local"',
        '"1234567890"',
    )
    for place in places:
        told = read_registry(write(tmp_path, GOOD.replace(f'"{place}"', f'"{secret}"', 1))).problems
        assert secret not in "".join(told), place


def test_a_missing_file_is_a_finding(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"custody\.toml: can't be read: no such file"):
        load_registry(tmp_path / "custody.toml")


@pytest.mark.parametrize("text", ["", "tenants = 3", "accounts = []", "[tenants]\nacme = 1", "a" * 100, "[" * 3000])
def test_any_text_is_read_without_an_error_of_python(tmp_path: Path, text: str) -> None:
    read_registry(write(tmp_path, text))
