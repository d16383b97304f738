"""Sets Python's interpreter for a batch run, in which threads read, compute and write at once. Runs nothing itself."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

#: Objects made and not yet freed before the youngest are looked at for circles, and how often that is before the older
#: ones are. Python begins at 700: a run, which holds some thousand documents, would look at all of them and at all of
#: PyTorch again and again, for 30 of 570 microseconds a sentence.
COLLECTION = (20_000, 20, 20)
#: Seconds after which a thread that runs Python gives way to one that waits. By default it is 5 ms, and the thread that
#: computes may wait as long after every step of the model while another reads.
SWITCH_S = 0.0005


@contextmanager
def set_for_batches() -> Iterator[None]:
    """Let all threads of the process collect garbage seldom and give way soon, for the time of the context."""
    collection, switch_s = gc.get_threshold(), sys.getswitchinterval()
    gc.set_threshold(*COLLECTION)
    sys.setswitchinterval(SWITCH_S)
    try:
        yield
    finally:
        sys.setswitchinterval(switch_s)
        gc.set_threshold(*collection)
