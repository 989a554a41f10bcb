"""Reads `multipart/form-data`, for uploads."""

from __future__ import annotations

from dataclasses import dataclass
from email.message import EmailMessage

from connectors.simulator.graph_errors import invalid_parameter

_SECTIONS = 3
"""What a form has at least: what lies before its first field, the field, and what lies behind the last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One field of a form; `filename` and `content_type` where it is a file."""

    name: str
    data: bytes
    filename: str | None = None
    content_type: str | None = None

    @property
    def text(self) -> str:
        """The value of a plain field."""
        return self.data.decode("utf-8", "replace").strip()


def parts(content_type: str, body: bytes) -> dict[str, Part]:
    """The fields of a form by name. Raises GraphError when this is not a form, or is cut short."""
    boundary = _header(content_type).get_param("boundary", header="content-type")
    if not content_type.lower().startswith("multipart/form-data") or not isinstance(boundary, str):
        raise invalid_parameter("the request is not multipart/form-data")
    sections = (b"\r\n" + body).split(b"\r\n--" + boundary.encode())
    if len(sections) < _SECTIONS or not sections[-1].startswith(b"--"):
        raise invalid_parameter("the form ends before its last boundary")
    read = (_part(section) for section in sections[1:-1])
    return {part.name: part for part in read}


def _part(section: bytes) -> Part:
    head, _, data = section.removeprefix(b"\r\n").partition(b"\r\n\r\n")
    fields: dict[str, str] = {}
    for line in head.decode("utf-8", "replace").split("\r\n"):
        name, _, value = line.partition(":")
        fields[name.strip().lower()] = value.strip()
    disposition = EmailMessage()
    disposition["content-disposition"] = fields.get("content-disposition", "")
    field = disposition.get_param("name", "", header="content-disposition")
    filename = disposition.get_param("filename", None, header="content-disposition")
    return Part(
        name=str(field),
        data=data,
        filename=None if filename is None else str(filename),
        content_type=fields.get("content-type"),
    )


def _header(content_type: str) -> EmailMessage:
    message = EmailMessage()
    message["content-type"] = content_type
    return message
