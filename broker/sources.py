"""Where settings come from: the environment, a folder of secret files, and a TOML file, in that order.

`CUSTODY_SETTINGS` names the TOML file, `CUSTODY_SECRETS_DIR` the folder, whose files bear the names of settings.
"""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError
from pydantic_settings import EnvSettingsSource, NestedSecretsSettingsSource, SecretsSettingsSource

from broker.core.errors import SettingsError
from broker.findings import closest, line, meant, not_toml, what
from broker.kafka_settings import KAFKA_SETTINGS, POSTGRES_SETTINGS, faults, file_faults
from broker.settings import DELIMITER, DSN_EXAMPLE, PREFIX, SERVERS, Profile, Server, Settings, setting_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from pydantic_core import ErrorDetails

FILE_VARIABLE = "CUSTODY_SETTINGS"
SECRETS_VARIABLE = "CUSTODY_SECRETS_DIR"
_OURS = frozenset({FILE_VARIABLE, SECRETS_VARIABLE, "CUSTODY_KAFKA_LIBRARIES"})
_OTHERS = ("CUSTODY_TEST_",)
# Kubernetes puts these into a container for each service, also for one that is called `custody`.
_SERVICE_LINK = re.compile(r".*_(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT_\d+_(TCP|UDP|SCTP).*)")
_SERVICE_ADDRESS = re.compile(r"(tcp|udp|sctp)://.*")

Need = Server | str
"""What a command needs: a server, or `registry`."""


@dataclass(slots=True)
class _Gathered:
    """The values of every source, one over the other, and those of the file alone, for naming."""

    values: dict[str, Any] = field(default_factory=dict)
    file: Path | None = None
    in_file: dict[str, Any] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)

    def name(self, path: tuple[str, ...]) -> str:
        """A setting as the user typed it: by its variable, or by its key in the file."""
        if self.file is not None and self.is_in_file(path):
            return f"{'.'.join(path)} in {self.file.name}"
        return setting_name(*path)

    def example(self, path: tuple[str, ...], example: str) -> str:
        """An example of right, written as this setting was: as a variable, or as a line of the file."""
        return _as_toml(example) if self.is_in_file(path) else example

    def is_in_file(self, path: tuple[str, ...]) -> bool:
        """Whether the file is where this setting comes from."""
        return _has(self.in_file, path) and setting_name(*path) not in _variables()


def load(*, needs: Collection[Need] = ()) -> Settings:
    """The settings from outside. `SettingsError` has a finding for everything that is wrong or missing, at once.

    `needs` names the servers, and `registry`, that the caller can't do without.
    """
    gathered = _Gathered()
    if path := os.environ.get(FILE_VARIABLE):
        _read_file(Path(path), gathered)
    gathered.values = dict(gathered.in_file)
    if folder := os.environ.get(SECRETS_VARIABLE):
        gathered.values = _over(gathered.values, _from_folder(Path(folder), gathered))
    gathered.values = _over(gathered.values, _from_environment(gathered))
    return _settled(gathered, needs)


def load_file(path: Path) -> Settings:
    """The settings of one file alone, whatever the environment says."""
    gathered = _Gathered()
    _read_file(path, gathered)
    gathered.values = gathered.in_file
    return _settled(gathered, ())


def _settled(gathered: _Gathered, needs: Collection[Need]) -> Settings:
    settings: Settings | None = None
    try:
        settings = Settings(**gathered.values)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        gathered.findings += [_explained(one, gathered) for one in details]
    gathered.findings += [*_missing(gathered.values, needs), *_misplaced(gathered)]
    if settings is not None and not gathered.findings:
        gathered.findings += [*_kafka(settings, gathered), *_files(settings, needs), *_unfit(settings, gathered)]
    if settings is None or gathered.findings:
        raise SettingsError(list(dict.fromkeys(gathered.findings)))
    return settings


def _read_file(path: Path, gathered: _Gathered) -> None:
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
    is_path = key in {"registry", "directory", "kafka_directory"} or key.endswith("_file")
    return str(folder / value) if is_path and isinstance(value, str) else value


def _from_folder(folder: Path, gathered: _Gathered) -> dict[str, Any]:
    if not folder.is_dir():
        gathered.findings.append(line(SECRETS_VARIABLE, "is not a folder", "/run/secrets/custody"))
        return {}
    return NestedSecretsSettingsSource(SecretsSettingsSource(Settings, secrets_dir=folder))()


def _from_environment(gathered: _Gathered) -> dict[str, Any]:
    known, groups = _known_names(), {setting_name(one): one for one in _sections()}
    for name in sorted(_variables() - known.keys()):
        if name in groups:
            fault = "is a group of settings: give each its own variable"
            gathered.findings.append(line(name, fault, _example_in(groups[name])))
        elif not _is_of_others(name):
            close = closest(name, known)
            gathered.findings.append(line(name, f"is not a setting{meant(close)}", known[close or "CUSTODY_LOG__DSN"]))
    source = EnvSettingsSource(Settings)
    source.env_vars = {name: value for name, value in source.env_vars.items() if name.upper() not in groups}
    return {name: _only_known(value, name, known) for name, value in source().items()}


def _is_of_others(name: str) -> bool:
    """Whether a variable that begins like a setting is none: it has another use, or Kubernetes made it."""
    if name in _OURS or name.startswith(_OTHERS) or _SERVICE_LINK.fullmatch(name):
        return True
    return name.endswith("_PORT") and bool(_SERVICE_ADDRESS.fullmatch(os.environ.get(name, "")))


def _only_known(value: object, section: str, known: Mapping[str, object]) -> object:
    """Without the names already reported as unknown, so that each is reported once."""
    if not isinstance(value, dict):
        return value
    return {key: one for key, one in value.items() if setting_name(section, key) in known}


def _variables() -> frozenset[str]:
    return frozenset(name.upper() for name, value in os.environ.items() if name.upper().startswith(PREFIX) and value)


def _explained(error: ErrorDetails, gathered: _Gathered) -> str:
    path = tuple(str(one) for one in error["loc"] if isinstance(one, str))
    known = _known_names()
    typed = setting_name(*path)
    close = closest(typed, known) if typed not in known else None
    example = known.get(close or typed) or _example_in(path[0] if path else "profile")
    guess = close and _key(close) if gathered.is_in_file(path) else close
    return line(gathered.name(path), what(error) + meant(guess), gathered.example(path, example))


def _key(variable: str) -> str:
    return variable.removeprefix(PREFIX).lower().replace(DELIMITER, ".")


def _as_toml(example: str) -> str:
    """`CUSTODY_EDGE__PORT=8400` as it stands in a file."""
    variable, _, value = example.partition("=")
    plain = re.fullmatch(r"-?\d+(\.\d+)?", value)
    return f"{_key(variable)} = {value if plain else chr(34) + value + chr(34)}"


def _missing(values: Mapping[str, Any], needs: Collection[Need]) -> Iterator[str]:
    for server in SERVERS:
        if server in needs:
            yield from _unreached(server, _section(values, server))
    if "registry" in needs and not values.get("registry"):
        name = setting_name("registry")
        yield line(name, "is missing", f"{name}=/etc/custody/custody.toml")


def _unreached(server: Server, section: Mapping[str, Any]) -> Iterator[str]:
    """That a server's settings do not say where it is."""
    if server == "log" and section.get("kind") == "kafka":
        if not section.get("bootstrap"):
            name = setting_name(server, "bootstrap")
            yield line(name, "is missing", _known_names()[name])
    elif not (section.get("dsn") or section.get("dsn_file")):
        name = setting_name(server, "dsn")
        yield line(name, f"is missing, and so is {name}_FILE", f"{name}={DSN_EXAMPLE}")


def _misplaced(gathered: _Gathered) -> Iterator[str]:
    """Settings of the kind of log that is not the one chosen."""
    section = _section(gathered.values, "log")
    kind = section.get("kind", "postgres")
    others, other = (POSTGRES_SETTINGS, "postgres") if kind == "kafka" else (KAFKA_SETTINGS, "kafka")
    paths = [("log", one) for one in section if one in others]
    if kind == "postgres":
        paths += [("embedded", one) for one in _section(gathered.values, "embedded") if one.startswith("kafka_")]
    for path in paths:
        fault = f"is for a log of kind {other}, and this one is {kind}"
        yield line(gathered.name(path), fault, gathered.example(path, f"CUSTODY_LOG__KIND={other}"))


def _kafka(settings: Settings, gathered: _Gathered) -> Iterator[str]:
    """What is wrong with the way to a log on Kafka."""
    if settings.log.kind == "kafka":
        for name, fault in faults(settings.log):
            path = ("log", name)
            yield line(gathered.name(path), fault, gathered.example(path, _known_names()[setting_name(*path)]))


def _files(settings: Settings, needs: Collection[Need]) -> Iterator[str]:
    """What is wrong with the files that hold the addresses and secrets of the servers needed."""
    if "log" in needs and settings.log.kind == "kafka":
        for name, fault in file_faults(settings.log):
            variable = setting_name("log", name)
            yield line(variable, fault, _known_names()[variable])
    for server in settings.databases:
        if server in needs:
            try:
                settings.address(server)
            except SettingsError as error:
                yield from error.findings


def _unfit(settings: Settings, gathered: _Gathered) -> Iterator[str]:
    """What production refuses."""
    if settings.profile is not Profile.PRODUCTION:
        return
    for server in SERVERS:
        if getattr(settings, server).allow_unsafe_server:
            name = gathered.name((server, "allow_unsafe_server"))
            yield line(name, "production must not forget what it acknowledged", f"{name}=false")
    if settings.seed is not None:
        name = gathered.name(("seed",))
        yield line(name, "salts of production must not be known: leave it out", f"{setting_name('profile')}=demo")
    if settings.log.mechanism == "oauthbearer" and settings.log.protocol != "sasl_ssl":
        name = gathered.name(("log", "protocol"))
        yield line(name, "shows the token to whoever is on the way, which production refuses", f"{name}=sasl_ssl")
    provider = settings.whatsapp_cloud
    if not provider.graph_url.startswith("https://"):
        name = gathered.name(("whatsapp_cloud", "graph_url"))
        yield line(name, "is not https, as production demands", "https://graph.facebook.com/v25.0")
    if any(one.startswith("http://") for one in provider.extra_media_hosts):
        name = gathered.name(("whatsapp_cloud", "extra_media_hosts"))
        yield line(name, "has one that is not https, as production demands", "media.example.org")


def _known_names() -> dict[str, str]:
    """Every setting by its variable, with an example."""
    known: dict[str, str] = {}
    for path, info in _fields(Settings, ()):
        name = setting_name(*path)
        examples = info.examples or [info.default]
        known[name] = f"{name}={examples[0]}"
    return known


def _fields(model: type[BaseModel], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, info in model.model_fields.items():
        inner = info.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _fields(inner, (*path, name))
        else:
            yield (*path, name), info


def _sections() -> tuple[str, ...]:
    return tuple(dict.fromkeys(path[0] for path, _ in _fields(Settings, ()) if len(path) > 1))


def _example_in(section: str) -> str:
    start = setting_name(section)
    return next((example for name, example in _known_names().items() if name.startswith(start)), f"{start}=...")


def _section(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A group of settings as it was given; empty if it is not one."""
    section = values.get(name)
    return section if isinstance(section, dict) else {}


def _has(table: Mapping[str, Any], path: tuple[str, ...]) -> bool:
    for key in path:
        if not isinstance(table, dict) or key not in table:
            return False
        table = table[key]
    return True


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """One source over another, table by table."""
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        merged[key] = _over(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return merged
