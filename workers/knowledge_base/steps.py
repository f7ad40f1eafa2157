"""Doing one thing for many documents: counted, shown, stoppable, and never ended by one that fails."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from workers.knowledge_base.run_context import RunContext

Entry = TypeVar("Entry")

#: How many failures are told in the log one by one; the rest is counted.
_LOGGED_MAX = 200
#: Longest reason that is kept for a failure, in characters.
_REASON_LENGTH_MAX = 500


class RunCancelledError(Exception):
    """The run was asked to stop and did so between two documents. What was written so far is complete."""


@dataclass
class StepCounts:
    """What a step did with the documents it was given."""

    done: int = 0
    #: Nothing to do: the result of an earlier run still holds.
    unchanged: int = 0
    failed: int = 0

    def as_dict(self) -> dict[str, int]:
        """The counts as JSON values."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.done} done, {self.unchanged} unchanged" + (f", {self.failed} failed" if self.failed else "")


class StepRunner:
    """Runs the steps of one run and knows which documents have failed so far."""

    def __init__(self, context: RunContext) -> None:
        self._context = context
        #: Why a document failed, by a name that stays the same from step to step.
        self.failures: dict[str, str] = {}

    def check_cancelled(self) -> None:
        """A point at which the run may stop. Raises RunCancelledError if it was asked to."""
        if self._context.cancelled:
            raise RunCancelledError("stopped on request, between two documents")

    def each(
        self,
        step: str,
        entries: Sequence[Entry],
        name_of: Callable[[Entry], str],
        work: Callable[[Entry], bool],
    ) -> StepCounts:
        """Do `work` for each entry; it answers False if there was nothing to do.

        An entry that raises is logged, counted and remembered in `failures`; the others go on. Progress counts the
        entries that are over, and names the one at hand.
        """
        counts = StepCounts()
        self._context.progress(0, len(entries))
        for number, entry in enumerate(entries, start=1):
            self.check_cancelled()
            name = name_of(entry)
            self._context.progress(number - 1, len(entries), name)
            try:
                if work(entry):
                    counts.done += 1
                else:
                    counts.unchanged += 1
            except Exception as error:
                # Documents are strangers' text: whatever one of them breaks must cost that one only. A cancel that
                # arrives as an exception is not the document's fault and ends the run.
                if self._context.cancelled:
                    raise
                counts.failed += 1
                self._fail(name, step, error)
            self._context.progress(number, len(entries))
        self._context.progress(len(entries), len(entries), str(counts))
        return counts

    def _fail(self, name: str, step: str, error: Exception) -> None:
        """Count one document as failed; the first reason stays."""
        reason = f"{step}: {type(error).__name__}: {error}"[:_REASON_LENGTH_MAX]
        if len(self.failures) < _LOGGED_MAX:
            self._context.log.warning("%s is left out: %s", name, reason, exc_info=error)
        self.failures.setdefault(name, reason)
        self._context.items(failed=len(self.failures))
