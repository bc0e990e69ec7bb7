"""Exit codes of the command, the same in process, isolated and on a cluster."""

SUCCESS = 0
"""Every input is successful or skipped, the management tool is done."""
FAILURE = 1
"""An input ended in error, timeout or killed, or a management tool failed."""
USAGE = 2
"""The command is wrong; nothing was run."""
INTERRUPTED = 130
"""Ctrl-C."""
TERMINATED = 143
"""SIGTERM, after what was held is given back; the code that a shell shows for a process that the signal killed."""
