"""How a request to stop becomes an exception in the main thread, where it may and where it may not."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from taskstate import TaskCancelled, TaskContext
from taskstate.worker.interruption import SIGNAL, Interruption

from tests.support.waiting import wait_until

NEVER_S = 60


@pytest.fixture(autouse=True)
def _handler_as_before() -> Iterator[None]:
    before = signal.getsignal(SIGNAL)
    yield
    signal.signal(SIGNAL, before)


def interrupted(function: Callable[[TaskContext], object], when: threading.Event | None = None) -> TaskContext:
    """Run the function, with a request to stop once `when` is set; answers its context."""
    context = TaskContext()
    interruption = Interruption(context)

    def request() -> None:
        if when is not None:
            assert when.wait(NEVER_S)
        interruption.request()
        while interruption.ask_again():
            time.sleep(0.001)

    thread = threading.Thread(target=request)
    thread.start()
    try:
        interruption.call(function)
    finally:
        thread.join(NEVER_S)
    return context


def test_out_of_a_sleep() -> None:
    begun = threading.Event()

    def sleep(_context: TaskContext) -> None:
        begun.set()
        time.sleep(NEVER_S)

    with pytest.raises(TaskCancelled):
        interrupted(sleep, begun)


def test_out_of_a_wait_for_another_thread() -> None:
    begun = threading.Event()

    def wait(_context: TaskContext) -> None:
        begun.set()
        threading.Event().wait(NEVER_S)

    with pytest.raises(TaskCancelled):
        interrupted(wait, begun)


def test_out_of_a_computation_that_goes_on_after_every_error() -> None:
    begun = threading.Event()

    def spin(_context: TaskContext) -> None:
        while True:
            try:
                begun.set()
                sum(range(1000))
            except Exception:
                logging.getLogger("test").exception("went on")

    with pytest.raises(TaskCancelled):
        interrupted(spin, begun)


def test_a_request_before_the_first_line_lets_nothing_run() -> None:
    context = TaskContext()
    interruption = Interruption(context)
    interruption.request()
    assert context.cancelled
    with pytest.raises(TaskCancelled):
        interruption.call(lambda _context: pytest.fail("ran"))


def test_a_task_that_catches_it_and_returns_has_finished() -> None:
    begun = threading.Event()
    seen = []

    def stubborn(context: TaskContext) -> None:
        try:
            begun.set()
            time.sleep(NEVER_S)
        except TaskCancelled:
            seen.append(context.cancelled)

    assert interrupted(stubborn, begun).cancelled
    # The flag was up when the exception came; and there was only one.
    assert seen == [True]


def test_a_request_after_the_end_is_harmless() -> None:
    context = TaskContext()
    interruption = Interruption(context)
    assert interruption.call(lambda _context: 7) == 7
    interruption.request()
    assert not interruption.ask_again()
    signal.raise_signal(SIGNAL)


def test_not_in_the_middle_of_a_context_method() -> None:
    begun = threading.Event()
    numbers = []

    def report(context: TaskContext) -> None:
        for number in range(10_000_000):
            context.progress(number)
            context.log.debug("line %d", number)
            numbers.append(number)
            begun.set()

    with pytest.raises(TaskCancelled) as raised:
        interrupted(report, begun)
    where = raised.traceback[-2].frame.f_globals["__name__"]
    assert not where.startswith(("logging", "taskstate")), where
    assert numbers
    assert not begun._cond._lock.locked()  # type: ignore[attr-defined]


def test_other_threads_see_the_flag_though_the_main_thread_hears_nothing() -> None:
    """As when it is in a call that runs no Python: here it is in frames that are spared."""
    context = TaskContext()
    interruption = Interruption(context)
    seen = []

    def task(_context: TaskContext) -> None:
        with context._lock:
            thread = threading.Thread(target=interruption.request)
            signal.pthread_sigmask(signal.SIG_BLOCK, {SIGNAL})
            try:
                thread.start()
                wait_until(lambda: context.cancelled)
                seen.append(context.cancelled)
            finally:
                thread.join(NEVER_S)
                signal.pthread_sigmask(signal.SIG_UNBLOCK, {SIGNAL})

    with pytest.raises(TaskCancelled):
        interruption.call(task)
    assert seen == [True]
