"""Ctrl-C while the engine is at work: it comes late to those whom it ends, and never to those who ignore it."""

import signal
import threading

import pytest

from medanchor.chain.lock import ctrl_c_later


@pytest.fixture(params=["default", "ignored", "own"])
def handler(request):
    """What was to happen at Ctrl-C before; `own` as a program that embeds this one sets it."""
    wanted = {"default": signal.default_int_handler, "ignored": signal.SIG_IGN, "own": lambda *_: None}[request.param]
    former = signal.signal(signal.SIGINT, wanted)
    yield wanted
    signal.signal(signal.SIGINT, former)


def interrupted():
    """Whether the work was done although Ctrl-C was pressed, and what came afterwards."""
    done = []
    try:
        with ctrl_c_later():
            signal.raise_signal(signal.SIGINT)
            done.append(True)
    except KeyboardInterrupt:
        done.append("interrupted")
    return done


def test_ctrl_c_comes_when_the_work_is_done_and_not_at_all_where_it_is_ignored(handler):
    """A shell has it ignored by what a script runs in the background, with `&`."""
    assert interrupted() == ([True] if handler is signal.SIG_IGN else [True, "interrupted"])
    assert signal.getsignal(signal.SIGINT) is handler


def test_without_ctrl_c_nothing_comes(handler):
    with ctrl_c_later():
        pass
    assert signal.getsignal(signal.SIGINT) is handler


def test_other_threads_are_never_interrupted_and_leave_the_signal_alone(handler):
    seen = []

    def work():
        with ctrl_c_later():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [handler]
