"""Bad input on a supervisor's Session: refused by name, nothing changed, and the session carries on."""

import queue
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from taskstate.errors import from_rpc_error
from taskstate.v1 import maintenance_service_pb2 as maintenance
from taskstate.v1 import task_service_pb2 as tasks
from taskstate.v1 import worker_service_pb2 as pb
from taskstate.v1.maintenance_service_pb2_grpc import MaintenanceServiceStub
from taskstate.v1.task_service_pb2_grpc import TaskServiceStub
from taskstate.v1.worker_service_pb2_grpc import WorkerServiceStub

from tests.integration.api.bad_messages import BODIES, OTHERWISE_GOOD, WORKER, bad_hellos, bad_messages
from tests.integration.api.bad_requests import BAD_TASK_IDS, KIB

FAST = {"timeout": 10}


@dataclass
class Conversation:
    """One Session stream, spoken request by request."""

    channel: grpc.Channel
    requests: queue.Queue = field(default_factory=queue.Queue)
    sequence: int = 0

    def __post_init__(self) -> None:
        self.responses = WorkerServiceStub(self.channel).Session(iter(self.requests.get, None), timeout=60)

    def ask(self, **body) -> pb.ServerMessage:
        """Send one message and answer the one that answers it."""
        self.sequence += 1
        return self.ask_raw(pb.WorkerMessage(sequence=self.sequence, **body))

    def ask_raw(self, message: pb.WorkerMessage) -> pb.ServerMessage:
        self.requests.put(pb.SessionRequest(messages=[message]))
        (answer,) = next(self.responses).messages
        return answer

    def end(self) -> None:
        self.requests.put(None)


@dataclass(frozen=True)
class Attempt:
    """A running attempt and the conversation that holds it."""

    conversation: Conversation
    task_id: str
    token: int


@pytest.fixture(scope="module")
def attempt(core) -> Iterator[Attempt]:
    conversation = Conversation(core.channel)
    hello = pb.Hello(worker=WORKER, types=[pb.TaskType(name="held", queue="default")])
    assert conversation.ask(hello=hello).WhichOneof("body") == "welcome"
    created = TaskServiceStub(core.channel).CreateTask(tasks.CreateTaskRequest(type="held", queue="default"), **FAST)
    maintenance_stub = MaintenanceServiceStub(core.channel)
    handed = maintenance_stub.AcquireDispatches(maintenance.AcquireDispatchesRequest(), **FAST).dispatches
    (mine,) = [dispatch for dispatch in handed if dispatch.task_id == created.task.task_id]
    maintenance_stub.ConfirmDispatches(maintenance.ConfirmDispatchesRequest(dispatches=[mine]), **FAST)
    start = pb.StartAttempt(task_id=mine.task_id, dispatch=mine.dispatch, start_id=str(uuid.uuid4()), horse_pid=2)
    started = conversation.ask(start=start).started
    assert started.attempt == 1
    yield Attempt(conversation, started.task_id, started.fencing_token)
    # After all that was refused the attempt still has its last word.
    finish = pb.FinishAttempt(task_id=started.task_id, fencing_token=started.fencing_token, result="1")
    assert conversation.ask(finish=finish).WhichOneof("body") == "ack"
    conversation.end()


ROWS = [pytest.param(make, fields, name, id=label) for label, make, fields, name in bad_messages()]


def assert_refused(answer: pb.ServerMessage, sequence: int, name: str) -> None:
    assert answer.WhichOneof("body") == "refused", answer
    assert answer.refused.reason == "INVALID_FIELD"
    assert answer.refused.sequence == sequence
    assert name in answer.refused.message
    assert answer.refused.message.isprintable()
    assert len(answer.refused.message) < KIB


@pytest.mark.parametrize(("make", "fields", "name"), ROWS)
def test_a_bad_field_of_a_held_attempt_is_refused_by_name(core, attempt, make, fields, name):
    said = make(task_id=attempt.task_id, fencing_token=attempt.token, **fields)
    with core.unchanged():
        answer = attempt.conversation.ask(**{BODIES[make]: said})
    assert_refused(answer, attempt.conversation.sequence, name)
    if make is not pb.AppendLogs:
        assert answer.refused.task_id == attempt.task_id


@pytest.mark.parametrize("make", BODIES)
@pytest.mark.parametrize("label", BAD_TASK_IDS)
def test_a_bad_task_id_is_refused_by_name(core, attempt, make, label):
    with core.unchanged():
        said = make(task_id=BAD_TASK_IDS[label], fencing_token=attempt.token, **OTHERWISE_GOOD[make])
        answer = attempt.conversation.ask(**{BODIES[make]: said})
    assert_refused(answer, attempt.conversation.sequence, "task_id")
    assert len(answer.refused.task_id) <= 64


@pytest.mark.parametrize("make", BODIES)
@pytest.mark.parametrize("token", [0, -1, -(2**63)])
def test_a_token_that_cannot_be_one_is_refused_by_name(core, attempt, make, token):
    with core.unchanged():
        said = make(task_id=attempt.task_id, fencing_token=token, **OTHERWISE_GOOD[make])
        answer = attempt.conversation.ask(**{BODIES[make]: said})
    assert_refused(answer, attempt.conversation.sequence, "fencing_token")


@pytest.mark.parametrize("make", BODIES)
def test_a_token_that_was_never_given_is_fenced_or_lost(core, attempt, make):
    said = make(task_id=attempt.task_id, fencing_token=2**63 - 1, **OTHERWISE_GOOD[make])
    with core.unchanged():
        answer = attempt.conversation.ask(**{BODIES[make]: said})
    which = answer.WhichOneof("body")
    assert which == "fenced" or (which == "refused" and answer.refused.reason == "TOKEN_LOST"), answer


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"task_id": "x"}, "start.task_id"),
        ({"dispatch": 0}, "start.dispatch"),
        ({"dispatch": -1}, "start.dispatch"),
        ({"start_id": "x"}, "start.start_id"),
        ({"start_id": ""}, "start.start_id"),
        ({"horse_pid": 0}, "start.horse_pid"),
        ({"horse_pid": -5}, "start.horse_pid"),
    ],
)
def test_a_bad_start_is_refused_by_name(core, attempt, fields, name):
    good = {"task_id": attempt.task_id, "dispatch": 1, "start_id": str(uuid.uuid4()), "horse_pid": 2}
    with core.unchanged():
        answer = attempt.conversation.ask(start=pb.StartAttempt(**{**good, **fields}))
    assert_refused(answer, attempt.conversation.sequence, name)


@pytest.mark.parametrize("dispatch", [1, 2, 2**31 - 1])
def test_a_start_with_another_id_or_number_is_stale(core, attempt, dispatch):
    start = pb.StartAttempt(task_id=attempt.task_id, dispatch=dispatch, start_id=str(uuid.uuid4()), horse_pid=2)
    with core.unchanged():
        answer = attempt.conversation.ask(start=start)
    assert answer.refused.reason == "STALE_DISPATCH"


def test_a_start_of_an_unknown_task_is_refused(core, attempt):
    start = pb.StartAttempt(task_id=str(uuid.uuid4()), dispatch=1, start_id=str(uuid.uuid4()), horse_pid=2)
    with core.unchanged():
        answer = attempt.conversation.ask(start=start)
    assert answer.refused.reason in {"TASK_NOT_FOUND", "STALE_DISPATCH"}


@pytest.mark.parametrize(
    ("fields", "name"), [({"task_id": "x"}, "release.task_id"), ({"dispatch": 0}, "release.dispatch")]
)
def test_a_bad_release_is_refused_by_name(core, attempt, fields, name):
    with core.unchanged():
        answer = attempt.conversation.ask(
            release=pb.ReleaseDispatch(**{"task_id": attempt.task_id, "dispatch": 1, **fields})
        )
    assert_refused(answer, attempt.conversation.sequence, name)


def test_a_heartbeat_with_a_negative_age_is_refused(core, attempt):
    health = pb.AttemptHealth(
        task_id=attempt.task_id, fencing_token=attempt.token, sign_of_life_age=Duration(seconds=-1)
    )
    with core.unchanged():
        answer = attempt.conversation.ask(heartbeat=pb.Heartbeat(attempts=[health]))
    assert_refused(answer, attempt.conversation.sequence, "heartbeat.attempts[0].sign_of_life_age")


@pytest.mark.parametrize("sequence", [0, -1, 2**63 - 1])
def test_a_sequence_that_cannot_be_one_is_refused(core, attempt, sequence):
    said = pb.ReportProgress(task_id=attempt.task_id, fencing_token=attempt.token, done=1)
    with core.unchanged():
        answer = attempt.conversation.ask_raw(pb.WorkerMessage(sequence=sequence, progress=said))
    assert_refused(answer, sequence, "sequence")


def test_a_message_without_a_body_is_refused(core, attempt):
    with core.unchanged():
        answer = attempt.conversation.ask()
    assert_refused(answer, attempt.conversation.sequence, "body")


def test_a_repeated_or_lower_sequence_is_a_no_op_and_so_is_a_lower_done(core, attempt):
    def report(sequence, done):
        said = pb.ReportProgress(task_id=attempt.task_id, fencing_token=attempt.token, done=done)
        answer = attempt.conversation.ask_raw(pb.WorkerMessage(sequence=sequence, progress=said))
        assert answer.WhichOneof("body") == "ack"

    attempt.conversation.sequence += 10
    newest = attempt.conversation.sequence
    report(newest, 5)
    for sequence in (newest, newest - 1):
        with core.unchanged():
            report(sequence, done=9)
    report(newest + 1, done=3)
    attempt.conversation.sequence = newest + 1
    task = TaskServiceStub(core.channel).GetTask(tasks.GetTaskRequest(task_id=attempt.task_id), **FAST).task
    assert task.progress.done == 5


HELLO = pb.WorkerMessage(sequence=1, hello=pb.Hello(worker=WORKER))
BEAT = pb.WorkerMessage(sequence=2, heartbeat=pb.Heartbeat())


@pytest.mark.parametrize(
    "requests",
    [
        [],
        [pb.SessionRequest()],
        [pb.SessionRequest(messages=[BEAT])],
        [pb.SessionRequest(messages=[pb.WorkerMessage(sequence=1)])],
        [pb.SessionRequest(messages=[HELLO]), pb.SessionRequest(messages=[HELLO])],
        [pb.SessionRequest(messages=[HELLO, HELLO])],
        [pb.SessionRequest(messages=[HELLO]), pb.SessionRequest(messages=[BEAT] * 1001)],
    ],
    ids=["nothing", "empty-request", "no-hello", "no-body", "hello-twice", "hello-twice-at-once", "1001-messages"],
)
def test_a_session_out_of_order_ends_with_its_reason(core, requests):
    with core.unchanged(), pytest.raises(grpc.RpcError) as ended:
        list(WorkerServiceStub(core.channel).Session(iter(requests), **FAST))
    error = from_rpc_error(ended.value)
    assert (error.code, error.reason) == ("INVALID_ARGUMENT", "SESSION_PROTOCOL")
    assert "expected" in error.metadata


@pytest.mark.parametrize(("hello", "name"), [pytest.param(h, n, id=label) for label, h, n in bad_hellos()])
def test_a_bad_hello_is_named(core, hello, name):
    request = pb.SessionRequest(messages=[pb.WorkerMessage(sequence=1, hello=hello)])
    with core.unchanged(), pytest.raises(grpc.RpcError) as ended:
        list(WorkerServiceStub(core.channel).Session(iter([request]), **FAST))
    error = from_rpc_error(ended.value)
    assert (error.code, error.reason) == ("INVALID_ARGUMENT", "INVALID_FIELD")
    assert any(field.startswith(name) for field, _ in error.violations), error.violations
