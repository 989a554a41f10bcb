"""Real MongoDB replica sets without an installation, for the demo, the tests and one-machine installations.

The program, `mongod`, comes from a wheel.
"""

from backends.mongo.embedded.kind import EmbeddedMongoError
from backends.mongo.embedded.member import Member
from backends.mongo.embedded.options import ServerOptions
from backends.mongo.embedded.server import SUPERUSER, EmbeddedMongo

__all__ = ["SUPERUSER", "EmbeddedMongo", "EmbeddedMongoError", "Member", "ServerOptions"]
