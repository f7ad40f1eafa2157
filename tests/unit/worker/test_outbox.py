"""What a supervisor has to say: numbered in order, said again when unanswered, conflated and bounded meanwhile."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from taskstate.v1 import task_pb2
from taskstate.v1 import worker_service_pb2 as api
from taskstate.worker import outbox as module
from taskstate.worker.outbox import Outbox


def progress(done: float, *, task: str = "t", token: int = 1, phase: str = "") -> api.ReportProgress:
    return api.ReportProgress(task_id=task, fencing_token=token, phase_id=phase, done=done)


def phase(phase_id: str, state: task_pb2.PhaseState = task_pb2.PHASE_STATE_RUNNING) -> api.ReportPhase:
    return api.ReportPhase(task_id="t", fencing_token=1, phase_id=phase_id, state=state)


def logs(first: int, count: int = 1, size: int = 10) -> api.AppendLogs:
    lines = [task_pb2.LogLine(sequence=n, attempt=1, text="x" * size) for n in range(first, first + count)]
    return api.AppendLogs(task_id="t", fencing_token=1, lines=lines)


def finish(result: str = "1") -> api.FinishAttempt:
    return api.FinishAttempt(task_id="t", fencing_token=1, result=result)


def exited() -> api.AttemptExited:
    return api.AttemptExited(task_id="t", fencing_token=1)


def kinds(messages: list[api.WorkerMessage]) -> list[str | None]:
    return [message.WhichOneof("body") for message in messages]


def answer_all(outbox: Outbox, messages: list[api.WorkerMessage]) -> None:
    for message in messages:
        outbox.answered(message.sequence)


def test_progress_is_conflated_until_it_is_sent_and_keeps_its_place_before_phases() -> None:
    outbox = Outbox()
    outbox.progress(progress(1))
    outbox.progress(api.ReportProgress(task_id="t", fencing_token=1, message="two"))
    outbox.phase(phase("a"))
    outbox.progress(progress(3, phase="a"))
    outbox.progress(progress(4, phase="a"))
    outbox.finish(finish())
    outbox.exited(exited())
    messages = outbox.take()
    assert kinds(messages) == ["progress", "phase", "progress", "finish", "exited"]
    assert (messages[0].progress.done, messages[0].progress.message) == (1, "two")
    assert messages[2].progress.done == 4
    assert [message.sequence for message in messages] == [1, 2, 3, 4, 5]


def test_two_requests_may_be_open_and_what_gathers_goes_together() -> None:
    outbox = Outbox()
    outbox.progress(progress(1))
    first = outbox.take()
    outbox.progress(progress(2))
    assert kinds(outbox.take()) == ["progress"]
    for done in (3, 4, 5):
        outbox.progress(progress(done))
    assert outbox.take() == []
    answer_all(outbox, first)
    [message] = outbox.take()
    assert message.progress.done == 5


def test_what_was_not_answered_is_said_again_with_its_number() -> None:
    outbox = Outbox()
    start = outbox.start(api.StartAttempt(task_id="t", dispatch=1))
    outbox.progress(progress(1))
    first = outbox.take()
    outbox.answered(start)
    outbox.finish(finish())
    outbox.resend([api.ResumeAttempt(task_id="t", fencing_token=1)])
    resume, *again = outbox.take()
    assert resume.WhichOneof("body") == "resume"
    assert again[0] == first[1]
    assert kinds(again) == ["progress", "finish"]
    answer_all(outbox, again)
    assert outbox.is_empty
    assert not outbox.answered(again[0].sequence)


def test_a_heartbeat_goes_last_is_replaced_and_is_not_kept() -> None:
    outbox = Outbox()
    outbox.heartbeat(api.Heartbeat(claims=[api.DispatchClaim(dispatch=1)]))
    outbox.heartbeat(api.Heartbeat(claims=[api.DispatchClaim(dispatch=2)]))
    outbox.progress(progress(1))
    messages = outbox.take()
    assert kinds(messages) == ["progress", "heartbeat"]
    assert messages[1].heartbeat.claims[0].dispatch == 2
    answer_all(outbox, messages[:1])
    assert outbox.is_empty


def test_a_request_is_bounded_in_number_and_bytes() -> None:
    outbox = Outbox()
    for number in range(1500):
        outbox.phase(api.ReportPhase(task_id=f"t{number % 10}", fencing_token=1, phase_id=f"p{number}"))
    assert len(outbox.take()) == module.REQUEST_MESSAGES_MAX - 1
    assert len(outbox.take()) == 1500 - module.REQUEST_MESSAGES_MAX + 1

    outbox = Outbox()
    for _ in range(5):
        assert outbox.finish(finish("x" * 500_000))
    assert len(outbox.take()) == 2


def test_finishes_are_bounded_in_number_and_in_bytes() -> None:
    outbox = Outbox()
    assert all(outbox.finish(finish()) for _ in range(module.FINISHES_MAX))
    assert not outbox.finish(finish())
    answer_all(outbox, outbox.take()[:1])
    assert outbox.finish(finish())

    outbox = Outbox()
    large = finish("x" * (module.FINISH_BYTES_MAX // 4))
    assert [outbox.finish(large) for _ in range(4)] == [True, True, True, False]


def test_log_lines_beyond_the_bound_are_dropped_and_counted() -> None:
    outbox = Outbox()
    size = module.ATTEMPT_LOG_BYTES_MAX // 10
    for number in range(12):
        outbox.logs(logs(number * 2 + 1, count=2, size=size // 2))
    outbox.finish(finish())
    said = []
    while messages := outbox.take():
        said += messages
        answer_all(outbox, messages)
    lines = [line for message in said for line in message.logs.lines]
    assert lines[-1].text.startswith("6 log lines were dropped by the worker")
    assert [line.sequence for line in lines] == [*range(1, 19), 24]
    assert kinds(said)[-1] == "finish"
    assert outbox.is_empty


def test_phase_changes_beyond_the_bound_are_reduced_to_the_newest_of_each() -> None:
    outbox = Outbox()
    for number in range(module.ATTEMPT_PHASES_MAX + 1):
        outbox.phase(phase(f"p{number % 2}", task_pb2.PHASE_STATE_RUNNING))
    assert [message.phase.phase_id for message in outbox.take()] == ["p1", "p0"]


def test_only_what_was_never_sent_can_be_withdrawn() -> None:
    outbox = Outbox()
    unsent = outbox.start(api.StartAttempt(task_id="t", dispatch=1))
    assert outbox.withdraw(unsent)
    sent = outbox.start(api.StartAttempt(task_id="t", dispatch=1))
    outbox.take()
    assert not outbox.withdraw(sent)
    outbox.resend()
    assert not outbox.withdraw(sent)


def test_a_lost_attempt_is_forgotten_and_others_are_not() -> None:
    outbox = Outbox()
    outbox.progress(progress(1))
    outbox.take()
    outbox.phase(phase("a"))
    outbox.progress(progress(2))
    outbox.finish(finish())
    outbox.progress(progress(1, token=2))
    outbox.drop_attempt("t", 1)
    messages = outbox.take()
    assert [(message.WhichOneof("body"), message.progress.fencing_token) for message in messages] == [("progress", 2)]
    answer_all(outbox, messages)
    assert outbox.is_empty
    # What it took of the bounds is free again.
    assert all(outbox.finish(finish()) for _ in range(module.FINISHES_MAX))


class OutboxMachine(RuleBasedStateMachine):
    """Whatever breaks and is answered when: a model service that drops doubles hears everything once, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.outbox = Outbox()
        self.stream: list[list[api.WorkerMessage]] = []
        self.heard: list[api.WorkerMessage] = []
        self.seen: set[int] = set()
        self.said_phases: list[str] = []
        self.last_done: float | None = None

    @rule(done=st.integers(0, 9))
    def report(self, done: int) -> None:
        self.last_done = float(done)
        self.outbox.progress(progress(done))

    @rule()
    def change_phase(self) -> None:
        self.said_phases.append(f"p{len(self.said_phases)}")
        self.outbox.phase(phase(self.said_phases[-1]))

    @rule()
    def send(self) -> None:
        if messages := self.outbox.take():
            self.stream.append(messages)

    @rule()
    def carry_out_and_answer(self) -> None:
        if self.stream:
            answer_all(self.outbox, self._carry_out())

    @rule()
    def carry_out_and_lose_the_answer(self) -> None:
        if self.stream:
            self._carry_out()

    @rule()
    def break_stream(self) -> None:
        self.stream.clear()
        self.outbox.resend()

    def _carry_out(self) -> list[api.WorkerMessage]:
        messages = self.stream.pop(0)
        self.heard += [message for message in messages if message.sequence not in self.seen]
        self.seen |= {message.sequence for message in messages}
        return messages

    @invariant()
    def heard_in_order(self) -> None:
        sequences = [message.sequence for message in self.heard]
        assert sequences == sorted(sequences)

    def teardown(self) -> None:
        self.break_stream()
        while messages := self.outbox.take():
            self.stream.append(messages)
            self.carry_out_and_answer()
        assert self.outbox.is_empty
        assert [message.phase.phase_id for message in self.heard if message.HasField("phase")] == self.said_phases
        reports = [message.progress.done for message in self.heard if message.HasField("progress")]
        assert reports[-1:] == ([] if self.last_done is None else [self.last_done])


TestOutboxMachine = OutboxMachine.TestCase
