"""The garbage collector of a process that runs for long and makes many values at a time."""

from __future__ import annotations

import gc


def settle() -> None:
    """Takes what is there by now for what stays: the collector looks through none of it again.

    To be called once a worker has opened what it works with. Looking through all modules again and again, with every
    few batches, took a third of an archive worker's time; what a batch is made of goes without a collector.
    """
    gc.collect()
    gc.freeze()
