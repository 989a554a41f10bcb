"""Whether settings fit together: what is missing, what belongs to another kind of server, what production refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from broker.core.errors import SettingsError
from broker.findings import line
from broker.gathered import known_names, section
from broker.kafka_settings import KAFKA_SETTINGS, POSTGRES_SETTINGS, faults, file_faults
from broker.settings import SERVERS, Profile, Server, Settings, setting_name
from broker.store_settings import (
    PLACE_FILES,
    PLACES,
    PROFILES,
    ROLES,
    Kind,
    StoreName,
    StoreRole,
    blob_faults,
    blob_file_faults,
    foreign,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from broker.gathered import Gathered

Need = Server | str
"""What a command needs: a server, `registry`, or `other`, which is the second store."""

_NAMES: Mapping[Kind, str] = {"postgres": "PostgreSQL", "kafka": "Kafka", "mongo": "MongoDB", "s3": "S3"}


def missing(values: Mapping[str, Any], needs: Collection[Need]) -> Iterator[str]:
    """What is not there, and has to be."""
    for server in SERVERS:
        if server in needs:
            kind = _log_kind(values) if server == "log" else _kinds(_chosen(values)).get(server)
            yield from _unreached((server,), kind, values)
    if "registry" in needs and not values.get("registry"):
        name = setting_name("registry")
        yield line(name, "is missing", f"{name}=/etc/custody/custody.toml")
    yield from _missing_other(values, needs)


def misplaced(gathered: Gathered) -> Iterator[str]:
    """Settings of a kind of log or store that is not the one chosen."""
    yield from _misplaced_log(gathered)
    for under in ((), ("other",)):
        for role, kind in _kinds(_chosen(gathered.values, *under)).items():
            given = section(gathered.values, *under, role)
            for field, profile in foreign(role, kind, given):
                path = (*under, role, field)
                fault = f"is not for {role} on {_NAMES[kind]}, where the store chosen has them"
                yield line(gathered.name(path), fault, gathered.example(path, _choice(under, profile)))
    yield from _misplaced_embedded(gathered)


def unsuited(settings: Settings, gathered: Gathered) -> Iterator[str]:
    """What is wrong with the settings of a log on Kafka and of blobs on S3: what lacks another, or is not used."""
    if settings.log.kind == "kafka":
        for name, fault in faults(settings.log):
            yield _told(gathered, ("log", name), fault)
    for under, one in _stores(settings):
        if one.kind("blobs") == "s3":
            for name, fault in blob_faults(one.blobs):
                yield _told(gathered, (*under, "blobs", name), fault)


def files(settings: Settings, needs: Collection[Need]) -> Iterator[str]:
    """What is wrong with the files that hold the addresses and secrets of the servers needed."""
    if "log" in needs and settings.log.kind == "kafka":
        for name, fault in file_faults(settings.log):
            variable = setting_name("log", name)
            yield line(variable, fault, known_names()[variable])
    for _, one in _stores(settings):
        for server in SERVERS:
            if server in needs:
                yield from _address_faults(one, server)


def unfit(settings: Settings, gathered: Gathered) -> Iterator[str]:
    """What production refuses."""
    if settings.profile is not Profile.PRODUCTION:
        return
    yield from _unsafe(settings, gathered)
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


def _unsafe(settings: Settings, gathered: Gathered) -> Iterator[str]:
    for under, one in _stores(settings):
        for server in SERVERS if not under else ROLES:
            if getattr(one, server).allow_unsafe_server:
                name = gathered.name((*under, server, "allow_unsafe_server"))
                yield line(name, "production must not forget what it acknowledged", f"{name}=false")
        if one.kind("blobs") == "s3" and (one.blobs.endpoint or "").startswith("http://"):
            name = gathered.name((*under, "blobs", "endpoint"))
            yield line(name, "is not https, as production demands", "https://s3.example.org")


def _stores(settings: Settings) -> Iterator[tuple[tuple[str, ...], Settings]]:
    """The settings seen with each store there is, and under which name its own settings stand."""
    yield (), settings
    other = settings.second()
    if other is not None:
        yield ("other",), other


def _address_faults(settings: Settings, server: Server) -> Iterator[str]:
    kind = settings.kind(server)
    if kind in PLACE_FILES:
        try:
            settings.address(server)
        except SettingsError as error:
            yield from error.findings
    elif kind == "s3":
        for name, fault in blob_file_faults(settings.blobs):
            variable = settings.name("blobs", name)
            yield line(variable, fault, known_names()[variable])


def _unreached(path: tuple[str, ...], kind: Kind | None, values: Mapping[str, Any]) -> Iterator[str]:
    """That a server's settings do not say where it is."""
    if kind is None:
        return
    given, place, in_file = section(values, *path), PLACES[kind], PLACE_FILES.get(kind)
    if given.get(place) or (in_file and given.get(in_file)):
        return
    name = setting_name(*path, place)
    fault = f"is missing, and so is {name}_FILE" if in_file else "is missing"
    yield line(name, fault, known_names()[name])


def _missing_other(values: Mapping[str, Any], needs: Collection[Need]) -> Iterator[str]:
    """What the second store lacks, as far as there is one."""
    other = section(values, "other")
    if not other.get("store"):
        if other or "other" in needs:
            name = setting_name("other", "store")
            yield line(name, "is missing, and there is no second store without it", known_names()[name])
        return
    for role, kind in _kinds(_chosen(values, "other")).items():
        if role in needs or "other" in needs:
            yield from _unreached(("other", role), kind, values)


def _misplaced_log(gathered: Gathered) -> Iterator[str]:
    kind = _log_kind(gathered.values)
    others, other = (POSTGRES_SETTINGS, "postgres") if kind == "kafka" else (KAFKA_SETTINGS, "kafka")
    paths = [("log", one) for one in section(gathered.values, "log") if one in others]
    if kind == "postgres":
        paths += [("embedded", one) for one in section(gathered.values, "embedded") if one.startswith("kafka_")]
    for path in paths:
        fault = f"is for a log of kind {other}, and this one is {kind}"
        yield line(gathered.name(path), fault, gathered.example(path, f"CUSTODY_LOG__KIND={other}"))


def _misplaced_embedded(gathered: Gathered) -> Iterator[str]:
    """Servers of Custody's own that no store would use."""
    used = {kind for under in ((), ("other",)) for kind in _kinds(_chosen(gathered.values, *under)).values()}
    for name in section(gathered.values, "embedded"):
        kind: Kind | None = "mongo" if name.startswith("mongo_") else "s3" if name.startswith("s3_") else None
        if kind is not None and kind not in used:
            path = ("embedded", name)
            fault = f"is for a store on {_NAMES[kind]}, and there is none"
            yield line(gathered.name(path), fault, gathered.example(path, _choice((), "s3_mongo")))


def _log_kind(values: Mapping[str, Any]) -> Kind:
    return "kafka" if section(values, "log").get("kind") == "kafka" else "postgres"


def _chosen(values: Mapping[str, Any], *under: str) -> object:
    """The profile of a store, as it was given; of the first one there always is one."""
    found = section(values, *under) if under else values
    return found.get("store", None if under else "postgres")


def _kinds(store: object) -> Mapping[StoreRole, Kind]:
    """What a store is made of; nothing where no such store is known, which is told elsewhere."""
    known: StoreName | None = next((one for one in PROFILES if one == store), None)
    return PROFILES[known] if known is not None else {}


def _choice(under: tuple[str, ...], profile: StoreName) -> str:
    return f"{setting_name(*under, 'store')}={profile}"


def _told(gathered: Gathered, path: tuple[str, ...], fault: str) -> str:
    return line(gathered.name(path), fault, gathered.example(path, known_names()[setting_name(*path)]))
