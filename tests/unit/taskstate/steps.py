"""What the random test does next: more often than not something useful, else anything.

A list of independent random commands starts hardly any task (16 starts in 22,700 commands, when it was tried), so the
generator looks at the state and chooses what leads on; the rest of the time it says what nobody should say: old tokens,
old messages, other tasks' tokens, everything twice.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from random import Random

from services.taskstate.command import (
    AdvanceCancel,
    AttemptExited,
    CancelTask,
    Command,
    ConfirmDispatch,
    CreateTask,
    ExpireAttempt,
    FinishAttempt,
    HandOut,
    HearAttempt,
    NoteWait,
    ReleaseDispatch,
    ReportPhase,
    ReportProgress,
    ResumeAttempt,
    StartAttempt,
    SuspectAttempt,
)
from services.taskstate.model import (
    ExitCause,
    PhaseState,
    ProcessExit,
    Task,
    TaskError,
    TaskState,
    WaitReason,
    Worker,
)
from tests.unit.taskstate.world import NAMESPACES, REPLICAS, TYPES, Process, World

USEFUL = 0.55
ACTIVE_MAX = 7
PHASE_IDS = ("fetch", "make", "only", "more", "fetch.media", "make.deep.er")
WORKER = Worker("worker-1", "host-1", 7, "boot-1", ("default", "slow"), 8)


def run(seed: int, steps: int) -> World:
    """A whole run of the world. Raises Violation, telling the seed."""
    world = World(Random(seed))
    stepper = Stepper(world)
    try:
        for _ in range(steps):
            stepper.step()
        world.commit()
    except AssertionError as error:
        error.add_note(f"in the run of seed {seed}, at revision {world.revision}")
        raise
    return world


class Stepper:
    """Chooses and takes steps in one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.rng = world.rng
        self.created = 0
        self.sequence = 0

    def step(self) -> None:
        """One command, or something that happens outside."""
        roll = self.rng.random()
        if roll < 0.06:
            self._happen()
        elif roll < USEFUL:
            self._useful()
        else:
            self.world.apply(self._anything())

    def _tasks(self) -> list[Task]:
        """All tasks as of now, the ones in an open batch included, oldest first."""
        return list((self.world.overlay or self.world).tasks.values())

    def _alive(self) -> list[str]:
        return sorted(self.world.replicas)

    def _happen(self) -> None:
        world = self.world
        world.pass_time(self.rng.choice((0.0, 0.05, 0.7, 3.0, 11.0, 40.0)))
        match self.rng.randrange(9):
            case 0:
                # A replica loses its lease, or all have theirs again.
                world.replicas = {self.rng.choice(REPLICAS)} if len(world.replicas) == 2 else set(REPLICAS)
            case 1:
                world.types[self.rng.choice(NAMESPACES), "late"] = TYPES[2]
            case 2:
                self._kill(self.rng.choice(world.processes) if world.processes else None)
            case 3:
                world.hold_until = world.now + timedelta(seconds=20)
            case 4 | 5:
                self._sweep_all()
            case 6:
                self._break_streams()

    def _sweep_all(self) -> None:
        """What the scheduler asks for every second."""
        for task in self._tasks():
            if task.state is TaskState.RUNNING or task.previous_process_remains:
                self.world.apply(self._sweep(task.task_id))

    def _break_streams(self) -> None:
        """A supervisor dies, and its processes with it; or it is only cut off, and they live on."""
        dies = self.rng.random() < 0.5
        for task in self._tasks():
            process = self.world.newest_process(task)
            if process is not None and task.gone_time is None and self.rng.random() < 0.5:
                process.lives = process.lives and not dies
                self.world.apply(self._suspect(task))

    def _kill(self, process: Process | None) -> None:
        if process is not None:
            process.lives = False

    def _useful(self) -> None:
        active = [task for task in self._tasks() if task.is_active or task.previous_process_remains]
        if not active or (len(active) < ACTIVE_MAX and self.rng.random() < 0.15):
            self.world.apply(self._create())
            return
        # Those that run have more to say than those that wait, and those that are blocked cannot be helped.
        weights = [5 if task.state is TaskState.RUNNING else 0.2 if self._is_blocked(task) else 2 for task in active]
        task = self.rng.choices(active, weights)[0]
        process = self.world.newest_process(task)
        if task.previous_process_remains and process is not None and self.rng.random() < 0.6:
            self._kill(process)
            self.world.apply(self._exited(task.task_id, process.token))
        elif task.previous_process_remains and self.rng.random() < 0.5:
            self._leave_alone(task)
        elif task.state is TaskState.RUNNING and process is not None:
            self._work(task, process)
        elif task.is_unstarted:
            confirm = task.state is not TaskState.QUEUED and self.rng.random() < 0.5
            self.world.apply(self._confirm(task) if confirm else self._start(task))
        elif task.due_time is not None and task.due_time > self.world.now:
            self.world.pass_time((task.due_time - self.world.now).total_seconds())
        elif self.rng.random() < 0.1:
            believed = self.world.checker.model.tasks[task.task_id]
            waits_for = self.world.checker.model.waits_for(believed, self.world.now)
            self.world.apply(NoteWait(task_id=task.task_id, actor="scheduler", wait_reason=waits_for))
        else:
            self.world.apply(self._hand_out(task.task_id))

    def _leave_alone(self, task: Task) -> None:
        """Its supervisor is cut off, and nobody sees the process go."""
        self.world.apply(self._suspect(task))
        self.world.pass_time(21.0)
        self.world.apply(self._sweep(task.task_id))

    def _is_blocked(self, task: Task) -> bool:
        believed = self.world.checker.model.tasks[task.task_id]
        blocked = (WaitReason.SLOT, WaitReason.NO_WORKER)
        return not task.is_unstarted and self.world.checker.model.waits_for(believed, self.world.now) in blocked

    def _work(self, task: Task, process: Process) -> None:
        """What a living process does next, or its supervisor in its place."""
        roll = self.rng.random()
        token = process.token
        if not process.lives and roll < 0.7:
            self.world.apply(self._exited(task.task_id, token))
        elif task.suspect_until is not None and roll < 0.5:
            self.world.apply(self._resume(task.task_id, token))
        elif task.suspect_until is not None and roll < 0.8:
            self.world.pass_time(max(0.0, (task.suspect_until - self.world.now).total_seconds()))
            self.world.apply(self._sweep(task.task_id))
        elif roll < 0.03:
            self._leave_alone(task)
        elif task.cancel is not None and roll < 0.3:
            self.world.apply(self._advance(task.task_id, token))
        elif roll < 0.07:
            self.world.apply(self._cancel(task.task_id))
        elif roll < 0.8:
            say = self.rng.choice((self._progress, self._progress, self._phase, self._hear))
            self.world.apply(say(task.task_id, token))
        elif roll < 0.93:
            self.world.apply(self._finish(task.task_id, token))
        else:
            self._kill(process)
            self.world.apply(self._exited(task.task_id, token))

    def _anything(self) -> Command:
        """Any command about any task, with numbers that are right, late, early or somebody else's."""
        tasks = self._tasks()[-9:]
        if not tasks or self.rng.random() < 0.05:
            return self._create()
        task = self.rng.choice(tasks)
        task_id = task.task_id if self.rng.random() > 0.02 else "00000000-0000-4000-8000-ffffffffffff"
        # Token 0 does not pass the door: no attempt ever had it.
        own = task.fencing_token or 1
        token = self.rng.choice((own, own, self._some_token(), self.world.revision + 1))
        makers: list[Callable[[], Command]] = [
            lambda: self._hand_out(task_id),
            lambda: NoteWait(task_id=task_id, actor="scheduler", wait_reason=self.rng.choice(list(WaitReason))),
            lambda: self._confirm(task, self.rng.choice((0, 0, -1, 1))),
            lambda: self._start(task, self.rng.choice((0, 0, -1, 1))),
            lambda: self._progress(task_id, token),
            lambda: self._phase(task_id, token),
            lambda: self._hear(task_id, token),
            lambda: self._finish(task_id, token),
            lambda: self._exited(task_id, token),
            lambda: self._advance(task_id, token),
            lambda: self._resume(task_id, token),
            lambda: self._sweep(task_id),
            lambda: self._suspect(task, self.rng.random() < 0.5),
            lambda: ReleaseDispatch(
                task_id=task_id, actor="worker:1", dispatch=task.dispatch - self.rng.choice((0, 1))
            ),
            lambda: self._cancel(task_id) if self.rng.random() < 0.3 else self._hand_out(task_id),
        ]
        return self.rng.choice(makers)()

    def _some_token(self) -> int:
        return self.rng.choice(self.world.processes).token if self.world.processes else 1

    def _next(self) -> int:
        """A message number of a supervisor: mostly the next, sometimes one that was used before."""
        if self.rng.random() < 0.12:
            return max(1, self.sequence - self.rng.randrange(20))
        self.sequence += 1
        return self.sequence

    def _create(self) -> CreateTask:
        rng = self.rng
        again = [t for t in self._tasks() if t.spec.request_id] if rng.random() < 0.15 else []
        if again:
            spec = rng.choice(again).spec
            return self._new(spec.namespace, spec.request_id, rng.choice((spec.request_hash, "other")))
        namespace = rng.choice((NAMESPACES[0], NAMESPACES[0], NAMESPACES[1]))
        return self._new(namespace, f"request-{self.created}" if rng.random() < 0.4 else "", f"hash-{self.created}")

    def _new(self, namespace: str, request_id: str, request_hash: str) -> CreateTask:
        rng = self.rng
        self.created += rng.random() > 0.03  # Sometimes an id is used again.
        return CreateTask(
            task_id=f"00000000-0000-4000-8000-{self.created:012d}",
            actor="http",
            namespace=namespace,
            type=rng.choice(TYPES).name,
            request_id=request_id,
            request_hash=request_hash,
            group=rng.choice(("", "single", "single", "pair", "pair")),
            queue=rng.choice((None, None, "own")),
            max_attempts=rng.choice((None, None, 1, 2)),
            retry_on_loss=rng.choice((None, None, True, False)),
            not_before_time=rng.choice((None, None, None, self.world.now + timedelta(seconds=5))),
        )

    def _hand_out(self, task_id: str) -> HandOut:
        return HandOut(task_id=task_id, actor="scheduler")

    def _confirm(self, task: Task, newer: int = 0) -> ConfirmDispatch:
        return ConfirmDispatch(task_id=task.task_id, actor="scheduler", dispatch=task.dispatch + newer)

    def _start(self, task: Task, newer: int = 0) -> StartAttempt:
        asked_again = task.start_id and self.rng.random() < 0.3
        return StartAttempt(
            task_id=task.task_id,
            actor="worker:1",
            dispatch=task.dispatch + newer,
            start_id=task.start_id if asked_again else f"start-{self.rng.randrange(10**9)}",
            worker=WORKER,
            replica_id=self.rng.choice((*REPLICAS, *self._alive(), *self._alive())),
            stream_id=f"stream-{self.rng.randrange(4)}",
            sequence=self._next(),
        )

    def _progress(self, task_id: str, token: int) -> ReportProgress:
        rng = self.rng
        return ReportProgress(
            task_id=task_id,
            actor="worker:1",
            fencing_token=token,
            sequence=self._next(),
            phase_id=rng.choice(("", "", *PHASE_IDS)),
            done=rng.choice((None, 0.0, rng.randrange(20) / 2, 11.0)),
            total=rng.choice((None, None, 0.0, 7.0, 10.0)),
            message=rng.choice((None, "", "at work")),
            items_processed=rng.choice((None, rng.randrange(9))),
            items_failed=rng.choice((None, None, rng.randrange(3))),
        )

    def _phase(self, task_id: str, token: int) -> ReportPhase:
        return ReportPhase(
            task_id=task_id,
            actor="worker:1",
            fencing_token=token,
            sequence=self._next(),
            phase_id=self.rng.choice(PHASE_IDS),
            state=self.rng.choice(
                (PhaseState.RUNNING, PhaseState.RUNNING, PhaseState.DONE, PhaseState.FAILED, PhaseState.SKIPPED)
            ),
            name=self.rng.choice(("", "A name")),
            message=self.rng.choice(("", "begun")),
        )

    def _hear(self, task_id: str, token: int) -> HearAttempt:
        age_s = self.rng.choice((0.0, 0.01, 2.0, 12.0, 15.5, 30.0))
        return HearAttempt(task_id=task_id, actor="worker:1", fencing_token=token, sequence=self._next(), age_s=age_s)

    def _finish(self, task_id: str, token: int) -> FinishAttempt:
        result = self.rng.choice((None, '{"n":1}', '"ü"'))
        error = TaskError("ValueError", "it broke", "Traceback ...") if self.rng.random() < 0.55 else None
        return FinishAttempt(
            task_id=task_id,
            actor="worker:1",
            fencing_token=token,
            sequence=self._next(),
            result=None if error else result,
            error=error,
            final=self.rng.random() < 0.2,
        )

    def _exited(self, task_id: str, token: int) -> AttemptExited:
        """Exits are always true: whoever says a process has gone has seen it go."""
        for process in self.world.processes:
            if (process.task_id, process.token) == (task_id, token):
                self._kill(process)
        ended = self.rng.choice((None, ProcessExit(), ProcessExit(signal=9, peak_memory_bytes=2**20, cpu_s=0.25)))
        cause = self.rng.choice((ExitCause.NONE, ExitCause.NONE, *ExitCause))
        return AttemptExited(
            task_id=task_id, actor="worker:1", fencing_token=token, sequence=self._next(), exit=ended, cause=cause
        )

    def _cancel(self, task_id: str) -> CancelTask:
        return CancelTask(task_id=task_id, actor="http", force=self.rng.random() < 0.35)

    def _advance(self, task_id: str, token: int) -> AdvanceCancel:
        signalled = self.rng.random() < 0.5
        return AdvanceCancel(
            task_id=task_id, actor="worker:1", fencing_token=token, sequence=self._next(), signalled=signalled
        )

    def _suspect(self, task: Task, carried: bool = True) -> SuspectAttempt:
        stream_id = task.stream_id if carried else f"stream-{self.rng.randrange(4)}"
        return SuspectAttempt(
            task_id=task.task_id,
            actor="replica",
            replica_id=task.replica_id or REPLICAS[0],
            stream_id=stream_id,
            grace_s=self.rng.choice((2.0, 2.0, 20.0)),
            lease_s=20.0,
        )

    def _resume(self, task_id: str, token: int) -> ResumeAttempt:
        return ResumeAttempt(
            task_id=task_id,
            actor="worker:1",
            fencing_token=token,
            sequence=self._next(),
            replica_id=self.rng.choice((*REPLICAS, *self._alive())),
            stream_id=f"stream-{self.rng.randrange(4)}",
        )

    def _sweep(self, task_id: str) -> ExpireAttempt:
        replica_id = self.rng.choice((*REPLICAS, *self._alive(), *self._alive()))
        return ExpireAttempt(task_id=task_id, actor="scheduler", replica_id=replica_id)
