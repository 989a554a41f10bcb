"""Becomes a server program: gives up root, ties its life to the process that started it, and executes.

Run as a script, by path, with Python's isolated mode: it imports nothing of Custody, so that no privilege is
held while other code loads, and it needs no code between fork and exec in a process that has threads.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # Source: https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html, 2026-11


def become(uid: int, gid: int) -> None:
    """Drops root for good: supplementary groups, the group, then the user. Anyone else stays as is."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)


def die_with(parent: int) -> None:
    """Asks Linux for SIGINT once the thread that started this process is gone: every server here ends well on it.

    Comes after `become`, since a change of credentials clears the request; an exec keeps it. Elsewhere than
    on Linux nothing is asked, and a server outlives an owner that was killed.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGINT))
    if os.getppid() != parent:
        sys.exit("The process that asked for this server is gone already")


def main(words: list[str]) -> None:
    """Takes the uid, the gid, the parent's process id, then the program and its arguments."""
    uid, gid, parent = (int(word) for word in words[:3])
    become(uid, gid)
    die_with(parent)
    os.execv(words[3], words[3:])  # noqa: S606 - its purpose; no shell is involved


if __name__ == "__main__":
    main(sys.argv[1:])
