"""A supervisor's Session on a real gRPC server: the rules of a conversation, and an attempt's whole life on it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import pytest
from taskstate.v1 import task_pb2
from taskstate.v1 import worker_service_pb2 as pb

from services.taskstate.model import Task
from services.taskstate.service import Replica
from services.taskstate.store import task_query
from tests.integration.taskstate import steps, supervisor
from tests.integration.taskstate.replicas import Served, newest_revision, query, served_replica
from tests.integration.taskstate.supervisor import Supervisor, hello, message, start, supervising
from tests.support.waiting import await_until


@pytest.fixture
async def worker(served: Served) -> AsyncIterator[Supervisor]:
    """A supervisor that has been welcomed."""
    async with supervising(served.target) as welcomed:
        yield welcomed


async def queued(replica: Replica, **fields: object) -> str:
    """The id of a new task whose first message is in its queue."""
    command = steps.create(**fields)
    await steps.put(replica, command, steps.hand_out(command.task_id), steps.confirm(command.task_id))
    return command.task_id


async def current(replica: Replica, task_id: str) -> Task:
    """The task as it is stored."""
    _, task = await replica.database.read(task_query.read_task, task_id)
    assert task is not None
    return task


def kinds(database_url: str, task_id: str) -> list[str]:
    """What has happened to the task."""
    return [kind for (kind,) in query(database_url, "select kind from event where task_id = %s order by 1", task_id)]


# -- the conversation ---------------------------------------------------------------------------------------------------


async def test_a_hello_is_welcomed_and_declares_its_types(served: Served, database_url: str) -> None:
    declared = pb.TaskType(name="report", queue="processing", max_attempts=2, retry_on_loss=True)
    declared.phases.add(id="fetch", name="Fetch")
    async with supervising(served.target, greeted=False) as speaker:
        welcome = await speaker.welcomed(declared)
    assert welcome.replica_id == served.replica.replica_id
    assert welcome.heartbeat_interval.ToTimedelta().total_seconds() == 5
    ((now,),) = query(database_url, "select extract(epoch from clock_timestamp())")
    assert abs(welcome.server_time.seconds - int(now)) <= 2
    assert query(database_url, "select queue, max_attempts, retry_on_loss from task_type where name = 'report'") == [
        ("processing", 2, True)
    ]


@pytest.mark.parametrize("first", ["start", "nothing", "half-closed"])
async def test_a_session_begins_with_a_hello(served: Served, first: str) -> None:
    async with supervising(served.target, greeted=False) as speaker:
        if first == "start":
            await speaker.say(start(steps.new_id()))
        elif first == "nothing":
            await speaker.say()
        else:
            await speaker._call.done_writing()
        assert await speaker.ended() is grpc.StatusCode.INVALID_ARGUMENT
        assert "hello" in await speaker.details


async def test_a_caller_that_says_nothing_does_not_keep_its_place(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.taskstate.api.session.HELLO_TIMEOUT_S", 0.1)
    async with supervising(served.target, greeted=False) as silent:
        assert await silent.ended() is grpc.StatusCode.INVALID_ARGUMENT
        assert "No hello" in await silent.details
    await await_until(lambda: not served.replica.workers.sessions)


async def test_a_second_hello_ends_the_session(worker: Supervisor) -> None:
    await worker.say(hello())
    assert await worker.ended() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_request_holds_a_bounded_number_of_messages(worker: Supervisor) -> None:
    task_id = steps.new_id()
    await worker.say(*(supervisor.progress(task_id, 1, done=1) for _ in range(1001)))
    assert await worker.ended() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_request_speaks_of_a_bounded_number_of_attempts(worker: Supervisor) -> None:
    health = pb.AttemptHealth(task_id=steps.new_id(), fencing_token=1)
    await worker.say(*(message(heartbeat=pb.Heartbeat(attempts=[health] * 1000)) for _ in range(11)))
    assert await worker.ended() is grpc.StatusCode.INVALID_ARGUMENT


async def test_sessions_are_limited_and_a_place_becomes_free_again(database_url: str) -> None:
    async with (
        served_replica(database_url, sessions_max=2) as served,
        supervising(served.target),
        supervising(served.target) as second,
    ):
        async with supervising(served.target, greeted=False) as third:
            assert await third.ended() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert "2 sessions" in await third.details
        await second.close()
        async with supervising(served.target):
            assert len(served.replica.workers.sessions) == 2


async def test_a_good_bye_ends_the_session_well(worker: Supervisor) -> None:
    leaving = message(good_bye=pb.GoodBye(message="done"))
    await worker.acked(leaving)
    assert await worker.ended() is grpc.StatusCode.OK


async def test_mistakes_in_a_message_are_refused_and_the_stream_goes_on(
    worker: Supervisor, served: Served, database_url: str
) -> None:
    task_id = await queued(served.replica)
    begun = await worker.started(task_id)
    token = begun.fencing_token
    at = newest_revision(database_url)
    wrong = [
        supervisor.progress("not-a-uuid", token, done=1),
        supervisor.progress(task_id, token, done=float("nan")),
        supervisor.progress(task_id, token, done=-1),
        supervisor.progress(task_id, 0, done=1),
        supervisor.phase(task_id, token, "Not A Phase"),
        supervisor.phase(task_id, token, "fetch", task_pb2.PHASE_STATE_UNSPECIFIED),
        supervisor.finish(task_id, token, "{no json"),
        message(finish=pb.FinishAttempt(task_id=task_id, fencing_token=token)),
        message(start=pb.StartAttempt(task_id=task_id, dispatch=0, start_id="x", horse_pid=0)),
        supervisor.logs(task_id, token, [1], attempt=0),
        pb.WorkerMessage(sequence=2**40),
        pb.WorkerMessage(progress=pb.ReportProgress(task_id=task_id, fencing_token=token, done=1)),
    ]
    right = supervisor.progress(task_id, token, done=3)
    answers = await worker.ask(*wrong[:-1], right)
    assert [answer.refused.reason for answer in answers[:-1]] == ["INVALID_FIELD"] * (len(wrong) - 1)
    assert answers[-1].WhichOneof("body") == "ack"
    await worker.say(wrong[-1])  # Without a sequence.
    (answer,) = await worker.ask(supervisor.progress(task_id, token, done=4))
    assert answer.WhichOneof("body") == "ack"
    assert worker.answers(0)[0].refused.reason == "INVALID_FIELD"
    # Two reports were accepted, and nothing else took a revision.
    assert (await current(served.replica, task_id)).done == 4
    assert kinds(database_url, task_id) == ["CREATED", "HANDED_OUT", "QUEUED", "STARTED"]
    assert query(database_url, "select count(*) from event where revision > %s", at) == [(0,)]


# -- starting -----------------------------------------------------------------------------------------------------------


async def test_a_start_gets_its_attempt(worker: Supervisor, served: Served) -> None:
    task_id = await queued(served.replica, payload='{"n": 1}', name="a name", timeout_s=60.0, max_attempts=2)
    begun = await worker.started(task_id)
    task = await current(served.replica, task_id)
    assert (begun.attempt, begun.max_attempts, begun.dispatch, begun.type) == (1, 2, 1, "canary")
    assert (begun.payload, begun.name, begun.timeout.seconds) == ('{"n": 1}', "a name", 60)
    assert begun.fencing_token == task.fencing_token == task.event_revision
    assert task.worker is not None
    assert (task.worker.worker_id, task.worker.horse_pid) == ("worker-1", 101)


async def test_a_repeated_start_gets_the_same_token_also_on_another_stream(
    worker: Supervisor, served: Served, database_url: str
) -> None:
    task_id = await queued(served.replica)
    ask = start(task_id)
    (first,) = await worker.ask(ask)
    await worker.cut()
    async with supervising(served.target) as reconnected:
        (again,) = await reconnected.ask(ask)
    assert again == first
    assert kinds(database_url, task_id).count("STARTED") == 1


async def test_starts_that_are_refused(worker: Supervisor, served: Served, database_url: str) -> None:
    replica = served.replica
    task_id = await queued(replica)
    assert await worker.refusal(start(steps.new_id())) == "TASK_NOT_FOUND"
    assert await worker.refusal(start(task_id, dispatch=2)) == "STALE_DISPATCH"
    created = await steps.put_one(replica, steps.create())
    assert await worker.refusal(start(created.task_id)) == "STALE_DISPATCH"
    begun = await worker.started(task_id)
    # The same message for another work-horse: it runs already.
    assert await worker.refusal(start(task_id)) == "STALE_DISPATCH"
    await worker.acked(supervisor.finish(task_id, begun.fencing_token), supervisor.exited(task_id, begun.fencing_token))
    assert await worker.refusal(start(task_id)) == "STALE_DISPATCH"
    assert kinds(database_url, task_id).count("STARTED") == 1


async def test_a_message_that_was_not_confirmed_yet_may_be_started(worker: Supervisor, served: Served) -> None:
    command = steps.create()
    await steps.put(served.replica, command, steps.hand_out(command.task_id))
    assert (await worker.started(command.task_id)).attempt == 1


async def test_a_replica_whose_lease_has_lapsed_starts_nothing(
    worker: Supervisor, served: Served, database_url: str
) -> None:
    task_id = await queued(served.replica)
    query(database_url, "update replica set lease_until = clock_timestamp()")
    ask = start(task_id)
    await worker.say(ask)
    # Unanswered and elsewhere: the supervisor opens another stream and sends it again.
    assert await worker.ended() is grpc.StatusCode.UNAVAILABLE
    assert worker.answers(ask.sequence) == []
    assert "STARTED" not in kinds(database_url, task_id)
    assert await served.replica.leases.renew_once()
    async with supervising(served.target) as reconnected:
        (answer,) = await reconnected.ask(ask)
        assert answer.started.attempt == 1


# -- running ------------------------------------------------------------------------------------------------------------


async def test_progress_phases_and_items(worker: Supervisor, served: Served) -> None:
    task_id = await queued(served.replica)
    token = (await worker.started(task_id)).fencing_token
    await worker.acked(
        supervisor.progress(task_id, token, done=2, total=10, message="two", items_processed=2),
        supervisor.progress(task_id, token, done=1, items_failed=1),
        supervisor.phase(task_id, token, "fetch"),
        supervisor.progress(task_id, token, phase_id="fetch", done=5, total=10),
        supervisor.phase(task_id, token, "fetch.cache"),
    )
    task = await current(served.replica, task_id)
    assert (task.done, task.total, task.message, task.phase) == (2, 10, "two", "fetch.cache")
    assert (task.items_processed, task.items_failed) == (2, 1)
    assert [(phase.id, str(phase.state), phase.done) for phase in task.phases] == [
        ("fetch", "RUNNING", 5),
        ("fetch.cache", "RUNNING", 0),
    ]
    await worker.acked(
        supervisor.phase(task_id, token, "fetch.cache", task_pb2.PHASE_STATE_SKIPPED),
        supervisor.phase(task_id, token, "fetch", task_pb2.PHASE_STATE_DONE),
    )
    task = await current(served.replica, task_id)
    assert [str(phase.state) for phase in task.phases] == ["DONE", "SKIPPED"]
    assert task.phase == ""


async def test_late_and_doubled_reports_change_nothing(worker: Supervisor, served: Served, database_url: str) -> None:
    task_id = await queued(served.replica)
    token = (await worker.started(task_id)).fencing_token
    early, late = (supervisor.progress(task_id, token, done=done) for done in (1, 2))
    await worker.acked(late)
    before = await current(served.replica, task_id)
    await worker.acked(early)
    await worker.acked(late)
    assert await current(served.replica, task_id) == before
    assert newest_revision(database_url) == before.revision


async def test_lines_are_stored_once_though_sent_twice(worker: Supervisor, served: Served, database_url: str) -> None:
    task_id = await queued(served.replica)
    token = (await worker.started(task_id)).fencing_token
    lines = supervisor.logs(task_id, token, [1, 2, 3])
    await worker.acked(lines)
    await worker.acked(lines)
    # The rest of a doubled message that was cut differently the second time.
    await worker.acked(supervisor.logs(task_id, token, [3, 4]), supervisor.finish(task_id, token))
    stored = query(database_url, "select sequence, text from log_line order by sequence")
    assert stored == [(1 << 32 | number, f"line {number}") for number in (1, 2, 3, 4)]
    # After its last word an attempt logs nothing more.
    assert await worker.refusal(supervisor.logs(task_id, token, [5])) == "TOKEN_LOST"
    assert query(database_url, "select count(*) from log_line") == [(4,)]


async def test_a_wrong_token_is_fenced(worker: Supervisor, served: Served, database_url: str) -> None:
    task_id = await queued(served.replica)
    token = (await worker.started(task_id)).fencing_token
    at = newest_revision(database_url)
    for late in (
        supervisor.progress(task_id, token - 1, done=1),
        supervisor.phase(task_id, token + 1, "fetch"),
        supervisor.finish(task_id, token - 1),
        supervisor.exited(task_id, token + 1),
    ):
        (answer,) = await worker.ask(late)
        assert answer.WhichOneof("body") == "fenced"
        assert (answer.fenced.task_id, answer.fenced.sequence) == (task_id, late.sequence)
    assert await worker.refusal(supervisor.logs(task_id, token + 1, [1])) == "TOKEN_LOST"
    assert newest_revision(database_url) == at
    await worker.acked(supervisor.progress(task_id, token, done=1))


async def test_a_heartbeat_tells_when_the_process_was_heard_of(worker: Supervisor, served: Served) -> None:
    task_id = await queued(served.replica)
    begun = await worker.started(task_id)
    query(served.replica.settings.database_url, "update task_status set heard_time = heard_time - interval '1 hour'")
    health = pb.AttemptHealth(task_id=task_id, fencing_token=begun.fencing_token)
    health.sign_of_life_age.FromMilliseconds(1500)
    await worker.acked(message(heartbeat=pb.Heartbeat(attempts=[health])), message(heartbeat=pb.Heartbeat()))
    heard = (await current(served.replica, task_id)).heard_time
    ((age,),) = query(
        served.replica.settings.database_url, "select extract(epoch from clock_timestamp() - %s::timestamptz)", heard
    )
    assert 1.5 <= age < 4


# -- ending -------------------------------------------------------------------------------------------------------------


async def test_a_finish_then_the_exit(worker: Supervisor, served: Served, database_url: str) -> None:
    task_id = await queued(served.replica, group="agent")
    token = (await worker.started(task_id)).fencing_token
    await worker.acked(supervisor.finish(task_id, token, '{"answer": 42}'))
    task = await current(served.replica, task_id)
    assert (str(task.state), task.result, task.gone_time) == ("SUCCEEDED", '{"answer": 42}', None)
    # The process still holds the group's slot.
    assert task.slot == "default/agent"
    await worker.acked(supervisor.exited(task_id, token))
    task = await current(served.replica, task_id)
    assert task.gone_time is not None
    assert task.slot is None
    assert kinds(database_url, task_id) == ["CREATED", "EXITED", "FINISHED", "HANDED_OUT", "QUEUED", "STARTED"]


@pytest.mark.parametrize(("retry_on_loss", "state"), [(False, "LOST"), (True, "RETRYING")])
async def test_an_exit_without_a_finish(worker: Supervisor, served: Served, retry_on_loss: bool, state: str) -> None:
    task_id = await queued(served.replica, retry_on_loss=retry_on_loss, max_attempts=2)
    token = (await worker.started(task_id)).fencing_token
    # Whatever the code: who has not said how the work ended has not finished it.
    await worker.acked(supervisor.exited(task_id, token, code=0))
    task = await current(served.replica, task_id)
    assert (str(task.state), str(task.reason)) == (state, "WORKER_LOST")
    assert await worker.refusal(supervisor.finish(task_id, token)) == "FENCED"


async def test_an_error_is_retried_after_its_delay_and_after_the_exit(
    worker: Supervisor, served: Served, database_url: str
) -> None:
    replica = served.replica
    dispatching = replica.maintenance.dispatching
    task_id = await queued(replica, max_attempts=2)
    token = (await worker.started(task_id)).fencing_token
    await worker.acked(supervisor.fail(task_id, token))
    task = await current(replica, task_id)
    assert (str(task.state), str(task.reason), str(task.wait_reason)) == ("RETRYING", "ERROR", "PREVIOUS_PROCESS")
    assert task.error is not None
    assert task.error.message == "it broke"
    assert task.attempt_end_time is not None
    assert task.due_time is not None
    assert (task.due_time - task.attempt_end_time).total_seconds() == 1
    # Due, but the process of the first attempt has not gone.
    query(database_url, "update task_status set due_time = clock_timestamp()")
    assert await dispatching.acquire(1, 0, "scheduler") == []
    await worker.acked(supervisor.exited(task_id, token, code=1))
    (again,) = await dispatching.acquire(1, 0, "scheduler")
    assert (again.task_id, again.dispatch) == (task_id, 2)
    assert await worker.refusal(start(task_id, dispatch=1)) == "STALE_DISPATCH"
    second = await worker.started(task_id, dispatch=2)
    assert second.attempt == 2
    assert second.fencing_token > token
    assert await worker.refusal(supervisor.progress(task_id, token, done=9)) == "FENCED"
    await worker.acked(supervisor.fail(task_id, second.fencing_token))
    task = await current(replica, task_id)
    assert (str(task.state), str(task.reason), task.attempt) == ("FAILED", "ERROR", 2)


async def test_a_final_error_is_not_retried(worker: Supervisor, served: Served) -> None:
    task_id = await queued(served.replica, max_attempts=5)
    token = (await worker.started(task_id)).fencing_token
    last = supervisor.fail(task_id, token)
    last.finish.final = True
    await worker.acked(last)
    assert str((await current(served.replica, task_id)).state) == "FAILED"


async def test_a_whole_life_in_one_request(worker: Supervisor, served: Served) -> None:
    """What gathered while the supervisor was cut off comes at once; its order is kept."""
    task_id = await queued(served.replica)
    token = (await worker.started(task_id)).fencing_token
    await worker.acked(
        supervisor.phase(task_id, token, "fetch"),
        supervisor.progress(task_id, token, phase_id="fetch", done=1),
        supervisor.finish(task_id, token),
        supervisor.exited(task_id, token),
        supervisor.logs(task_id, token, [1]),
    )
    task = await current(served.replica, task_id)
    assert (str(task.state), task.gone_time is not None) == ("SUCCEEDED", True)
    assert [(str(phase.state), phase.done) for phase in task.phases] == [("DONE", 1)]
