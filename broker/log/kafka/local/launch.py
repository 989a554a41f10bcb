"""Becomes a broker: ties its life to the process that started it, and executes.

Run as a script, by path, with Python's isolated mode: it needs no code between fork and exec in a process that
has threads.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # Source: https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html, 2026-11


def die_with(parent: int) -> None:
    """Asks Linux for SIGKILL once the thread that started this process is gone; an exec keeps the request.

    Not for less: a broker asked politely waits for a controller, which may be going too. Elsewhere than on Linux
    nothing is asked, and a broker outlives an owner that was killed.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != parent:
        sys.exit("The process that asked for this broker is gone already")


def main(words: list[str]) -> None:
    """Takes the parent's process id, then the program and its arguments."""
    die_with(int(words[0]))
    os.execv(words[1], words[1:])  # noqa: S606 - its purpose; no shell is involved


if __name__ == "__main__":
    main(sys.argv[1:])
