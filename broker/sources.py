"""Where settings come from: the environment, a folder of secret files, and a TOML file, in that order.

`CUSTODY_SETTINGS` names the TOML file, `CUSTODY_SECRETS_DIR` the folder, whose files bear the names of settings.
"""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from pydantic_settings import EnvSettingsSource, NestedSecretsSettingsSource, SecretsSettingsSource

from broker.core.errors import SettingsError
from broker.findings import closest, line, meant, not_toml, what
from broker.fitness import files, misplaced, missing, unfit, unsuited
from broker.gathered import Gathered, dotted, example_in, groups, known_names, variables
from broker.settings import DELIMITER, Settings, setting_name

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pydantic_core import ErrorDetails

    from broker.fitness import Need

FILE_VARIABLE = "CUSTODY_SETTINGS"
SECRETS_VARIABLE = "CUSTODY_SECRETS_DIR"
_OURS = frozenset({FILE_VARIABLE, SECRETS_VARIABLE, "CUSTODY_KAFKA_LIBRARIES"})
_OTHERS = ("CUSTODY_TEST_",)
# Kubernetes puts these into a container for each service, also for one that is called `custody`.
_SERVICE_LINK = re.compile(r".*_(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT_\d+_(TCP|UDP|SCTP).*)")
_SERVICE_ADDRESS = re.compile(r"(tcp|udp|sctp)://.*")


def load(*, needs: Collection[Need] = ()) -> Settings:
    """The settings from outside. `SettingsError` has a finding for everything that is wrong or missing, at once.

    `needs` names the servers, and `registry`, that the caller can't do without.
    """
    gathered = Gathered()
    if path := os.environ.get(FILE_VARIABLE):
        _read_file(Path(path), gathered)
    gathered.values = dict(gathered.in_file)
    if folder := os.environ.get(SECRETS_VARIABLE):
        gathered.values = _over(gathered.values, _from_folder(Path(folder), gathered))
    gathered.values = _over(gathered.values, _from_environment(gathered))
    return _settled(gathered, needs)


def load_file(path: Path) -> Settings:
    """The settings of one file alone, whatever the environment says."""
    gathered = Gathered()
    _read_file(path, gathered)
    gathered.values = gathered.in_file
    return _settled(gathered, ())


def _settled(gathered: Gathered, needs: Collection[Need]) -> Settings:
    settings: Settings | None = None
    try:
        settings = Settings(**gathered.values)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        gathered.findings += [_explained(one, gathered) for one in details]
    gathered.findings += [*missing(gathered.values, needs), *misplaced(gathered)]
    if settings is not None and not gathered.findings:
        gathered.findings += [*unsuited(settings, gathered), *files(settings, needs), *unfit(settings, gathered)]
    if settings is None or gathered.findings:
        raise SettingsError(list(dict.fromkeys(gathered.findings)))
    return settings


def _read_file(path: Path, gathered: Gathered) -> None:
    gathered.file = path
    example = "/etc/custody/settings.toml"
    try:
        document = tomllib.loads(gathered.file.read_text(encoding="utf-8"))
    except OSError as error:
        fault = (error.strerror or "an input error").lower()
        gathered.findings.append(line(FILE_VARIABLE, f"the file can't be read: {fault}", example))
    except UnicodeDecodeError:
        gathered.findings.append(line(FILE_VARIABLE, "the file is not UTF-8 text", example))
    except tomllib.TOMLDecodeError as error:
        gathered.findings.append(line(FILE_VARIABLE, not_toml(path, error), "a line partitions = 4"))
    else:
        gathered.in_file = _anchored(document, gathered.file.parent)


def _anchored(table: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Paths in a file are meant from that file's folder."""
    return {key: _anchor(key, value, folder) for key, value in table.items()}


def _anchor(key: str, value: object, folder: Path) -> object:
    if isinstance(value, dict):
        return _anchored(value, folder)
    is_path = key == "registry" or key.endswith(("directory", "_file"))
    return str(folder / value) if is_path and isinstance(value, str) else value


def _from_folder(folder: Path, gathered: Gathered) -> dict[str, Any]:
    if not folder.is_dir():
        gathered.findings.append(line(SECRETS_VARIABLE, "is not a folder", "/run/secrets/custody"))
        return {}
    return NestedSecretsSettingsSource(SecretsSettingsSource(Settings, secrets_dir=folder))()


def _from_environment(gathered: Gathered) -> dict[str, Any]:
    known, grouped = known_names(), groups()
    for name in sorted(variables() - known.keys()):
        if name in grouped:
            fault = "is a group of settings: give each its own variable"
            gathered.findings.append(line(name, fault, example_in(*grouped[name])))
        elif not _is_of_others(name):
            close = closest(name, known)
            gathered.findings.append(line(name, f"is not a setting{meant(close)}", known[close or "CUSTODY_LOG__DSN"]))
    source = EnvSettingsSource(Settings)
    source.env_vars = {name: value for name, value in source.env_vars.items() if name.upper() not in grouped}
    return {name: _only_known(value, setting_name(name), known) for name, value in source().items()}


def _is_of_others(name: str) -> bool:
    """Whether a variable that begins like a setting is none: it has another use, or Kubernetes made it."""
    if name in _OURS or name.startswith(_OTHERS) or _SERVICE_LINK.fullmatch(name):
        return True
    return name.endswith("_PORT") and bool(_SERVICE_ADDRESS.fullmatch(os.environ.get(name, "")))


def _only_known(value: object, name: str, known: Mapping[str, object]) -> object:
    """Without the names already reported as unknown, so that each is reported once."""
    if not isinstance(value, dict) or name in known:
        return value
    inner = {one: f"{name}{DELIMITER}{one.upper()}" for one in value}
    begun = {
        one
        for one, path in inner.items()
        if path in known or any(other.startswith(f"{path}{DELIMITER}") for other in known)
    }
    return {one: _only_known(value[one], inner[one], known) for one in value if one in begun}


def _explained(error: ErrorDetails, gathered: Gathered) -> str:
    path = tuple(str(one) for one in error["loc"] if isinstance(one, str))
    known = known_names()
    typed = setting_name(*path)
    close = closest(typed, known) if typed not in known else None
    example = known.get(close or typed) or example_in(path[0] if path else "profile")
    guess = close and dotted(close) if gathered.is_in_file(path) else close
    return line(gathered.name(path), what(error) + meant(guess), gathered.example(path, example))


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """One source over another, table by table."""
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        merged[key] = _over(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return merged
