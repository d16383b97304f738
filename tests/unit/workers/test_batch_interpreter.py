"""The interpreter is set for a batch run, and as it was afterwards."""

from __future__ import annotations

import gc
import sys

import pytest

from workers.batch_interpreter import COLLECTION, SWITCH_S, set_for_batches


def fail_in_a_run() -> None:
    with set_for_batches():
        assert gc.get_threshold() == COLLECTION
        assert sys.getswitchinterval() == pytest.approx(SWITCH_S)
        message = "the run failed"
        raise ValueError(message)


def test_the_interpreter_is_as_it_was_once_a_run_has_ended_even_by_an_error() -> None:
    collection, switch_s = gc.get_threshold(), sys.getswitchinterval()
    with pytest.raises(ValueError, match="the run failed"):
        fail_in_a_run()
    assert gc.get_threshold() == collection
    assert sys.getswitchinterval() == pytest.approx(switch_s)
