"""The tables of the registry file: their keys, limits, and an example of each."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

_MOST_SECONDS = 30 * 86_400

_TABLE = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
Reference = Annotated[str, StringConstraints(min_length=1)]
ProviderId = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z_.:-]{1,64}$")]


class TenantTable(BaseModel):
    """`[tenants.<name>]`."""

    model_config = _TABLE
    zone: str = Field(examples=['zone = "Africa/Johannesburg"'])
    key_file: Reference = Field(examples=['key_file = "secrets/acme.key", made by: openssl rand -hex 32'])
    erase_after_seconds: float = Field(
        default=0.0, ge=0, le=_MOST_SECONDS, allow_inf_nan=False, examples=["erase_after_seconds = 3600"]
    )


class AppTable(BaseModel):
    """`[apps.<name>]`. `shared_with` names other tenants that have accounts under this app."""

    model_config = _TABLE
    provider: str = Field(examples=['provider = "whatsapp_cloud"'])
    tenant: str = Field(examples=['tenant = "acme"'])
    app_id: ProviderId = Field(examples=['app_id = "1234567890"'])
    secret_files: tuple[Reference, ...] = Field(min_length=1, examples=['secret_files = ["secrets/app.secret"]'])
    verify_token_file: Reference = Field(examples=['verify_token_file = "secrets/app.verify"'])
    shared_with: tuple[str, ...] = Field(default=(), examples=['shared_with = ["acme-life"]'])


class PostureTable(BaseModel):
    """`posture` of an account."""

    model_config = _TABLE
    storage: Literal["default", "no_storage", "local"] = Field(default="default", examples=['storage = "no_storage"'])
    region: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")] | None = Field(
        default=None, examples=['region = "ZA"']
    )
    contact_book: bool = Field(default=False, examples=["contact_book = false"])


class AccountTable(BaseModel):
    """`[accounts.<name>]`."""

    model_config = _TABLE
    tenant: str = Field(examples=['tenant = "acme"'])
    app: str = Field(examples=['app = "acme-whatsapp"'])
    id: ProviderId = Field(examples=['id = "106540352242922", the phone number id'])
    group: ProviderId = Field(examples=['group = "102290129340398", the WhatsApp Business Account'])
    token_file: Reference = Field(examples=['token_file = "secrets/claims.token"'])
    posture: PostureTable = Field(default_factory=PostureTable, examples=['posture = {storage = "no_storage"}'])
