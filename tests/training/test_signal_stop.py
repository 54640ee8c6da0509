"""SignalStop."""

import os
import signal
import threading

import pytest

from cpc_keras.training.signal_stop import SignalStop


@pytest.fixture(autouse=True)
def ordinary_handlers():
    before = {s: signal.getsignal(s) for s in SignalStop.SIGNALS}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_signal_is_held_back_until_leave_and_then_does_what_it_would_have_done():
    seen = []
    signal.signal(signal.SIGTERM, lambda *a: seen.append("term"))
    with SignalStop() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.requested == signal.SIGTERM and not seen
        stop.leave()
        assert seen == ["term"]
    assert seen == ["term"]
    with pytest.raises(KeyboardInterrupt), SignalStop() as stop:
        signal.raise_signal(signal.SIGINT)
        stop.leave()


def test_a_signal_that_nobody_took_up_comes_at_the_end_of_the_block():
    left = []
    with pytest.raises(KeyboardInterrupt):  # noqa: SIM117
        with SignalStop():
            signal.raise_signal(signal.SIGINT)
            left.append("within")
    assert left == ["within"]


def test_a_second_signal_is_not_held_back():
    with pytest.raises(KeyboardInterrupt), SignalStop():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        pytest.fail("held back")


def test_an_error_within_is_not_hidden_by_the_signal():
    stop = SignalStop()
    with pytest.raises(OSError, match="full"), stop:
        signal.raise_signal(signal.SIGINT)
        raise OSError("full")
    assert stop.requested == signal.SIGINT


def test_the_handlers_of_before_come_back_and_ignored_signals_stay_ignored():
    handler = signal.getsignal(signal.SIGTERM)
    with SignalStop():
        assert signal.getsignal(signal.SIGTERM) != handler
    assert signal.getsignal(signal.SIGTERM) == handler
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as in a shell's background
    with SignalStop() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.requested is None


def test_in_another_thread_it_does_nothing():
    seen = []

    def work():
        with SignalStop() as stop:
            seen.append(stop.requested)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [None]
