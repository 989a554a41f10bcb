"""The main job on one machine: traffic comes in, is kept on real servers, and is erased at a simulated provider."""

from broker.demo.home import LOGS, Log
from broker.demo.show import run_demo
from broker.demo.stage import Demo, DemoOptions

__all__ = ["LOGS", "Demo", "DemoOptions", "Log", "run_demo"]
