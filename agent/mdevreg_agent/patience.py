"""Calls into a library that may never come back: a thread for each, and a limit to the waiting."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")


class Patience:
    """Runs one call at a time, each in a thread of its own, and waits at most ``seconds`` for it.

    A call that hangs (in an ioctl of a wedged driver) keeps its own thread and nothing else: no lock is held
    meanwhile, and the thread is a daemon, so that the process can end. While it hangs no other is begun.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._last: Future[Any] | None = None

    @property
    def busy(self) -> bool:
        """Whether a call that was given up is still out."""
        return self._last is not None and not self._last.done()

    def ask(self, function: Callable[[], T]) -> T:
        """``function``'s result, or what it raised. Raises ``TimeoutError`` if it, or one before it, is still out."""
        if self.busy:
            raise TimeoutError
        answer: Future[T] = Future()
        self._last = answer
        Thread(target=_answer, args=(answer, function), name="mdevreg-agent-patience", daemon=True).start()
        return answer.result(self.seconds)


def _answer(answer: Future[T], function: Callable[[], T]) -> None:
    try:
        answer.set_result(function())
    except BaseException as error:  # noqa: BLE001  it is raised where the answer is waited for
        answer.set_exception(error)
