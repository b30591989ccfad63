"""Work with a deadline: its result, its error, or its end."""

import threading
import time

import pytest

from medanchor.net.deadline import within


def test_what_is_done_in_time_is_returned():
    assert within(5, lambda: 42) == 42
    assert within(5, lambda: None) is None


def test_what_is_raised_is_raised_here():
    with pytest.raises(ZeroDivisionError):
        within(5, lambda: 1 // 0)
    with pytest.raises(SystemExit):
        within(5, exit)


def test_what_takes_too_long_is_given_up():
    release = threading.Event()
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        within(0.05, lambda: release.wait(20))
    assert time.monotonic() - started < 15
    release.set()
