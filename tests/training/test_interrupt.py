"""Signals while training: the first is noted, the second obeyed, and afterwards all is as it was."""

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from mobilenets.errors import Interrupted
from mobilenets.training.interrupt import Interrupts

BOTH = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture(autouse=True)
def own_handlers() -> Iterator[list[int]]:
    """The numbers of the signals that came through to the handlers of before; those return after the test."""
    seen: list[int] = []
    before = {number: signal.signal(number, lambda n, _: seen.append(n)) for number in BOTH}
    yield seen
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", BOTH)
def test_the_first_signal_is_noted_and_the_second_ends_it_at_once(number: int, own_handlers: list[int]) -> None:
    with pytest.raises(Interrupted, match="at the second signal") as stopped, Interrupts() as interrupts:
        assert interrupts.number is None
        os.kill(os.getpid(), number)
        assert interrupts.number == number
        os.kill(os.getpid(), number)
    assert stopped.value.exit_code == 128 + number and own_handlers == []


def test_a_second_signal_of_the_other_kind_ends_it_too() -> None:
    with pytest.raises(Interrupted) as stopped, Interrupts():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
    assert stopped.value.exit_code == 128 + signal.SIGTERM


def test_the_handlers_of_before_come_back_also_after_an_error(own_handlers: list[int]) -> None:
    with pytest.raises(KeyError), Interrupts():
        raise KeyError
    for number in BOTH:
        os.kill(os.getpid(), number)
    assert own_handlers == list(BOTH)


def test_an_ignored_signal_stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Interrupts() as interrupts:
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupts.number is None
        os.kill(os.getpid(), signal.SIGTERM)
        assert interrupts.number == signal.SIGTERM
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_outside_the_main_thread_nothing_changes() -> None:
    before = [signal.getsignal(number) for number in BOTH]
    found: list[object] = []

    def work() -> None:
        with Interrupts() as interrupts:
            found.extend([interrupts.number, *(signal.getsignal(number) for number in BOTH)])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [None, *before]
