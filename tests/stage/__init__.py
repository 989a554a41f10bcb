"""A stage for whole-system tests: real servers, a simulated provider, and workers as processes that may be killed."""

from tests.stage.home import Layout, StageHome
from tests.stage.kills import Kill
from tests.stage.servers import Servers, cluster, one_server, three_servers
from tests.stage.stage import Stage, StageOptions

__all__ = ["Kill", "Layout", "Servers", "Stage", "StageHome", "StageOptions", "cluster", "one_server", "three_servers"]
