"""What makes a function a task: the decorator, and the registry it fills.

The registry is filled by code that was imported on purpose (``--tasks``), never by what a queue message says. A worker
declares every registered type to TaskState, with its policy; the newest declaration counts, for tasks created from then on.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from taskstate.context import TaskContext

    TaskFunction = Callable[[TaskContext], Any]

TYPE_PATTERN: Final = re.compile(r"[a-z][a-z0-9_.]{0,63}")
QUEUE_PATTERN: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
PHASE_ID_PATTERN: Final = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+){0,7}")
PHASE_ID_CHARACTERS_MAX: Final = 128
PHASES_MAX: Final = 64
PHASE_NAME_CHARACTERS_MAX: Final = 200
ATTEMPTS_MAX: Final = 100
DESCRIPTION_BYTES_MAX: Final = 1024
TIMEOUT_MIN_S: Final = 0.001
TIMEOUT_MAX_S: Final = 30 * 24 * 3600.0


class Fatal(Exception):
    """Raise it to end a task for good: it is not tried again, though attempts remain."""


class TaskCancelled(BaseException):
    """Raised in the task's main thread when the task was asked to stop, in the middle of whatever it does.

    Clean up within a few seconds and let it pass: the task then ends as cancelled. It is no Exception, so that a task
    which goes on after every error does not go on after this one. A task that catches it and returns has finished. A
    task may raise it itself, once ``context.cancelled`` says that it should stop.
    """

    # The name under which users import it, and under which it is told to TaskState.
    __module__ = "taskstate"


@dataclass(frozen=True, kw_only=True)
class DeclaredPhase:
    """A phase that a type declares; it is shown as pending from the start."""

    id: str
    """`[a-z0-9_]+`; a sub-phase has its parent's id and a dot before it."""
    name: str
    """For people."""


@dataclass(frozen=True, kw_only=True)
class TaskDefinition:
    """A function that can be run as a task, and the policy its type declares."""

    type: str
    function: TaskFunction
    queue: str
    timeout_s: float | None
    """Longest time one attempt may run. None leaves it to the service (TASK_TIMEOUT_SECONDS)."""
    stall_timeout_s: float | None
    """Longest time without progress. None for no limit."""
    max_attempts: int
    retry_on_loss: bool
    exclusive: bool
    """Whether two processes of one task must never run at once, even across a cut network."""
    phases: tuple[DeclaredPhase, ...]
    description: str


_registry: dict[str, TaskDefinition] = {}


def task(
    *,
    type: str,  # noqa: A002 - the word of the whole API.
    queue: str = "default",
    timeout: float | timedelta | None = None,
    max_attempts: int = 1,
    retry_on_loss: bool = False,
    stall_timeout: float | timedelta | None = None,
    exclusive: bool = False,
    phases: Iterable[str | tuple[str, str]] = (),
) -> Callable[[TaskFunction], TaskFunction]:
    """Make a function the implementation of a task type.

    The function takes a ``TaskContext`` and returns something JSON can hold (512 KiB at most), or None. What it raises
    ends the attempt; ``Fatal`` ends the task. The function itself is returned unchanged, so that tests can call it.

    ``type``: `[a-z][a-z0-9_.]{0,63}`. ``queue``: where its tasks go unless the creator says otherwise. ``timeout`` and
    ``stall_timeout``: seconds or a timedelta; unset leaves the service's default deadline, and no stall limit.
    ``max_attempts``: from 1 to 100. ``retry_on_loss``: whether an attempt that was lost with its worker is tried again,
    which is only right for work that may be done twice. ``exclusive``: whether two processes of one task must never run
    at once: an attempt whose worker is cut off from TaskState is then stopped while TaskState still counts it as
    running, instead of going on. ``phases``: ids, or (id, name) pairs, in order; sub-phases with
    dots, after their parents.

    Raises ValueError or TypeError for what cannot be meant, and ValueError when the type is taken by another function.
    """
    if not isinstance(type, str) or not TYPE_PATTERN.fullmatch(type):
        raise ValueError(f"a task type must match {TYPE_PATTERN.pattern}, not {type!r}")
    if not isinstance(queue, str) or not QUEUE_PATTERN.fullmatch(queue):
        raise ValueError(f"the queue of task type {type} must match {QUEUE_PATTERN.pattern}, not {queue!r}")
    if isinstance(max_attempts, bool) or not isinstance(max_attempts, int) or not 1 <= max_attempts <= ATTEMPTS_MAX:
        raise ValueError(f"max_attempts of task type {type} must be from 1 to {ATTEMPTS_MAX}, not {max_attempts!r}")
    if retry_on_loss and max_attempts == 1:
        raise ValueError(f"retry_on_loss of task type {type} needs max_attempts of 2 or more")

    def register(function: TaskFunction) -> TaskFunction:
        if not callable(function) or inspect.iscoroutinefunction(function):
            raise TypeError(f"task type {type} must be a plain function: {function!r}")
        definition = TaskDefinition(
            type=type,
            function=function,
            queue=queue,
            timeout_s=_seconds(timeout, f"timeout of task type {type}"),
            stall_timeout_s=_seconds(stall_timeout, f"stall_timeout of task type {type}"),
            max_attempts=max_attempts,
            retry_on_loss=retry_on_loss,
            exclusive=exclusive,
            phases=_declared_phases(type, phases),
            description=_description(function),
        )
        former = _registry.get(type)
        if former is not None and not _same_function(former.function, function):
            raise ValueError(f"task type {type} is already registered by {_origin(former.function)}")
        _registry[type] = definition
        return function

    return register


def find_task(type_name: str) -> TaskDefinition | None:
    """The definition of a type, or None when no imported module registers it."""
    return _registry.get(type_name)


def all_tasks() -> Iterator[TaskDefinition]:
    """Every registered definition, in the order of registration."""
    return iter(list(_registry.values()))


def _declared_phases(type_name: str, phases: Iterable[str | tuple[str, str]]) -> tuple[DeclaredPhase, ...]:
    declared: dict[str, DeclaredPhase] = {}
    for entry in phases:
        phase_id, name = (entry, phase_title(entry)) if isinstance(entry, str) else entry
        if not is_phase_id(phase_id):
            raise ValueError(
                f"phase {phase_id!r} of task type {type_name}: an id must match {PHASE_ID_PATTERN.pattern}"
            )
        if phase_id in declared:
            raise ValueError(f"phase {phase_id!r} of task type {type_name} is declared twice")
        parent = phase_id.rpartition(".")[0]
        if parent and parent not in declared:
            raise ValueError(f"phase {phase_id!r} of task type {type_name} comes before its parent {parent!r}")
        if not name.isprintable() or not 0 < len(name) <= PHASE_NAME_CHARACTERS_MAX:
            raise ValueError(
                f"phase {phase_id!r} of task type {type_name}: "
                f"a name has 1 to {PHASE_NAME_CHARACTERS_MAX} printable characters"
            )
        declared[phase_id] = DeclaredPhase(id=phase_id, name=name)
    if len(declared) > PHASES_MAX:
        raise ValueError(f"task type {type_name} declares {len(declared)} phases; {PHASES_MAX} are the most")
    return tuple(declared.values())


def is_phase_id(text: str) -> bool:
    """Whether a text can be a phase's id: words of `[a-z0-9_]` joined by dots, at most 8, at most 128 characters."""
    return len(text) <= PHASE_ID_CHARACTERS_MAX and PHASE_ID_PATTERN.fullmatch(text) is not None


def phase_title(phase_id: str) -> str:
    """A name for people from an id: "content_processing.media" is "Media"."""
    words = phase_id.rpartition(".")[2].replace("_", " ").strip()
    return words[:1].upper() + words[1:] if words else phase_id


def _seconds(value: float | timedelta | None, what: str) -> float | None:
    if value is None:
        return None
    seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)
    if not TIMEOUT_MIN_S <= seconds <= TIMEOUT_MAX_S:
        raise ValueError(f"{what} must be from {TIMEOUT_MIN_S:g} s to {TIMEOUT_MAX_S / 86400:.0f} days, not {value!r}")
    return seconds


def _description(function: TaskFunction) -> str:
    first_paragraph = (inspect.getdoc(function) or "").split("\n\n")[0]
    text = " ".join(first_paragraph.split())
    return text.encode("utf-8", "replace")[:DESCRIPTION_BYTES_MAX].decode("utf-8", "ignore")


def _same_function(former: TaskFunction, new: TaskFunction) -> bool:
    """Whether this is one function registered again, as by importlib.reload, rather than two."""
    return _origin(former) == _origin(new)


def _origin(function: TaskFunction) -> str:
    return f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', repr(function))}"
