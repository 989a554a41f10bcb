"""What can go wrong with an S3 server of one's own."""

from __future__ import annotations

from typing import ClassVar

from broker.core.errors import FatalError


class EmbeddedS3Error(FatalError):
    """The embedded S3 server can't be started, or not where it was asked to."""

    code: ClassVar[str] = "embedded_s3"
