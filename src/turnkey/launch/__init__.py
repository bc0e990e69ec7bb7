"""How inputs are worked on: in this process, or each in a process of its own."""

from turnkey.launch.evaluation import evaluate
from turnkey.launch.options import Options
from turnkey.launch.result import Interrupted, Result, exit_code

__all__ = ["Interrupted", "Options", "Result", "evaluate", "exit_code"]
