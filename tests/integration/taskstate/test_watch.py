"""The watch on a real PostgreSQL: the state, then every change, in order, once, on whichever replica."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from services.taskstate.feed import FeedSettings
from services.taskstate.filters import TaskFilter
from services.taskstate.model import EventKind, TaskState, TaskType
from services.taskstate.service import Replica
from services.taskstate.store import batch as store
from services.taskstate.store import feed_read
from services.taskstate.watch import CHECKPOINT_S, Compacted, FutureRevision, ReplicaStopping
from tests.integration.taskstate import steps
from tests.integration.taskstate.replicas import database_away, newest_revision, query, running_replica
from tests.integration.taskstate.watcher import Watcher, event_revisions, watch, watching
from tests.support.waiting import await_until

TINY = FeedSettings(ring_transitions_max=10)
SOON_S = 0.4


@pytest.fixture(autouse=True)
def checkpoints_come_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints several times a second: the tests wait for them."""
    monkeypatch.setattr("services.taskstate.watch.CHECKPOINT_S", SOON_S)


async def test_a_snapshot_then_changes(replica: Replica, database_url: str) -> None:
    running = await steps.run_to_start(replica)
    ended = await steps.run_to_end(replica)
    waiting = await steps.put_one(replica, steps.create())
    at = newest_revision(database_url)
    async with watching(replica) as watcher:
        # Everything that has not ended, by creation; the checkpoint closes it.
        assert [task.task_id for task in watcher.snapshot] == [running.task_id, waiting.task_id]
        assert ended.task_id not in {task.task_id for task in watcher.snapshot}
        assert watcher.checkpoints[0].revision == at
        assert watcher.events == []
        task_id, token = running.task_id, running.fencing_token
        await steps.put(replica, steps.finish(task_id, token), steps.exited(task_id, token))
        await watcher.reaches(at + 2)
    assert [(event.kind, event.from_state, event.to_state) for event in watcher.events] == [
        (EventKind.FINISHED, TaskState.RUNNING, TaskState.SUCCEEDED),
        (EventKind.EXITED, TaskState.SUCCEEDED, TaskState.SUCCEEDED),
    ]
    assert watcher.revisions == event_revisions(database_url, after=at)


async def test_a_full_task_comes_once_per_read_with_its_newest_event(replica: Replica) -> None:
    async with watching(replica) as watcher:
        command = steps.create()
        tasks = await steps.put(replica, command, steps.hand_out(command.task_id), steps.confirm(command.task_id))
        await watcher.reaches(tasks[-1].revision)
        changes = [change for delivery in watcher.deliveries[1:] for change in delivery.changes]
    assert [change.task for change in changes] == [None, None, tasks[-1]]


async def test_a_full_task_comes_once_per_read_of_another_replicas_commits(replica: Replica, database_url: str) -> None:
    async with running_replica(database_url) as other, watching(other) as watcher:
        command = steps.create()
        tasks = await steps.put(replica, command, steps.hand_out(command.task_id), steps.confirm(command.task_id))
        await watcher.reaches(tasks[-1].revision)
        await _quiet_progress(watcher)
        changes = [change for delivery in watcher.deliveries[1:] for change in delivery.changes]
    assert [change.revision for change in changes if change.event] == [task.revision for task in tasks]
    assert [change.task for change in changes if change.task] == [tasks[-1]]


async def test_a_resume_by_any_cursor_misses_and_repeats_nothing(replica: Replica, database_url: str) -> None:
    for _ in range(4):
        await steps.run_to_end(replica)
        await steps.put(replica, *(steps.create() for _ in range(3)))
    known = event_revisions(database_url)
    newest = newest_revision(database_url)
    assert newest == known[-1]
    # By the cursor of each transition.
    watchers = [Watcher(watch(replica, cursor)) for cursor in (0, *known[:-1])]
    for watcher in watchers:
        await watcher.reaches(newest)
        assert watcher.revisions == [revision for revision in known if revision > watcher.watch._from_revision]
        await watcher.stop()
    # By the cursor of a checkpoint, which need be no transition's.
    task = await steps.run_to_start(replica)
    await steps.put_one(replica, steps.progress(task.task_id, task.fencing_token, 1))
    async with watching(replica) as first:
        cursor = first.checkpoints[0].revision
    assert cursor == newest_revision(database_url) > event_revisions(database_url)[-1]
    await steps.put_one(replica, steps.finish(task.task_id, task.fencing_token))
    async with watching(replica, cursor) as resumed:
        await resumed.reaches(cursor + 1)
    assert resumed.revisions == [cursor + 1]
    assert [change.revision for change in resumed.changes] == [cursor + 1]


async def test_a_laggard_that_fell_out_of_the_ring_reads_the_table(database_url: str) -> None:
    async with running_replica(database_url, feed=TINY) as replica:
        await steps.declare(replica)
        async with watching(replica) as watcher:
            await _lag(watcher, replica)
            assert replica.feed.after(watcher.watch.cursor) is None
            watcher.taking.set()
            await watcher.reaches(newest_revision(database_url))
        assert watcher.revisions == event_revisions(database_url)
        # A resume from before the ring likewise, and what comes afterwards from the ring again.
        async with watching(replica, 3) as resumed:
            await resumed.reaches(newest_revision(database_url))
            task = await steps.put_one(replica, steps.create())
            await resumed.reaches(task.revision)
        assert resumed.revisions == event_revisions(database_url, after=3)


async def _lag(watcher: Watcher, replica: Replica) -> None:
    """Let the watcher take one delivery more, and then nothing, while far more happens than the ring holds."""
    watcher.taking.clear()
    before = len(watcher.deliveries)
    await steps.put_one(replica, steps.create())
    await await_until(lambda: len(watcher.deliveries) > before, what="its last delivery")
    for _ in range(30):
        await steps.put_one(replica, steps.create())


async def test_progress_from_before_the_last_page_of_the_table_is_told(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.taskstate.watch.READ_MAX", 10)
    async with running_replica(database_url, feed=TINY) as replica:
        await steps.declare(replica)
        task = await steps.run_to_start(replica)
        await steps.put_one(replica, steps.progress(task.task_id, task.fencing_token, 7))
        for _ in range(25):
            await steps.put_one(replica, steps.create())
        async with watching(replica, task.revision) as watcher:
            await watcher.reaches(newest_revision(database_url))
            await await_until(lambda: watcher.progress, what="progress comes")
    assert [(told.task_id, told.done) for told in watcher.progress] == [(task.task_id, 7)]
    assert watcher.revisions == event_revisions(database_url, after=task.revision)


async def test_progress_from_before_the_last_page_of_the_feed_is_told(
    replica: Replica, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.taskstate.feed.READ_MAX", 10)
    async with running_replica(database_url) as other:
        task = await steps.run_to_start(replica)
        await await_until(lambda: other.feed.revision == task.revision, what="the other replica has it")
        async with watching(other, task.revision) as watcher:
            # One commit, so that the other replica's feed must read it in pages.
            many = [steps.progress(task.task_id, task.fencing_token, 7), *(steps.create() for _ in range(25))]
            tasks = await steps.put(replica, *many)
            await watcher.reaches(tasks[-1].revision)
            await await_until(lambda: watcher.progress, what="progress comes")
    assert [(told.task_id, told.done) for told in watcher.progress] == [(task.task_id, 7)]
    assert watcher.revisions == event_revisions(database_url, after=task.revision)


async def test_a_cursor_from_before_the_kept_history_is_compacted(replica: Replica, database_url: str) -> None:
    for _ in range(5):
        await steps.put_one(replica, steps.create())
    query(database_url, "update revision set compacted = 3")
    replica.feed.hint()
    await await_until(lambda: replica.feed.compacted == 3, what="the feed knows it")
    error = await Watcher(watch(replica, 2)).ended()
    assert isinstance(error, Compacted)
    assert error.compacted == 3
    async with watching(replica, 3) as watcher:
        await watcher.reaches(5)
    assert watcher.revisions == [4, 5]


async def test_history_compacted_under_a_laggard_ends_its_watch(database_url: str) -> None:
    async with running_replica(database_url, feed=TINY) as replica, watching(replica) as watcher:
        await _lag(watcher, replica)
        taken = watcher.cursor
        query(database_url, "update revision set compacted = 20")
        watcher.taking.set()
        assert isinstance(await watcher.ended(), Compacted)
        assert watcher.cursor == taken


async def test_a_cursor_from_the_future_is_told(replica: Replica) -> None:
    task = await steps.put_one(replica, steps.create())
    error = await Watcher(watch(replica, task.revision + 1)).ended()
    assert isinstance(error, FutureRevision)
    assert error.revision == task.revision


async def test_filters(replica: Replica, database_url: str) -> None:
    await steps.declare(replica, TaskType(name="report", queue="processing"))
    ended = await steps.run_to_end(replica)
    grouped, typed, queued, plain = [
        await steps.put_one(replica, command)
        for command in (
            steps.create(group="agent"),
            steps.create(type="report"),
            steps.create(queue="chat"),
            steps.create(),
        )
    ]
    wanted = {
        "ids": {"task_ids": frozenset({ended.task_id, plain.task_id})},
        "group": {"group": "agent"},
        "type": {"types": frozenset({"report"})},
        "queue": {"queue": "chat"},
        "both": {"group": "agent", "types": frozenset({"report"})},
    }
    watchers = {name: Watcher(watch(replica, wanted=TaskFilter(**fields))) for name, fields in wanted.items()}
    for watcher in watchers.values():
        await watcher.begun()
    snapshots = {name: [task.task_id for task in watcher.snapshot] for name, watcher in watchers.items()}
    assert snapshots == {
        # Named tasks are there in any state.
        "ids": [ended.task_id, plain.task_id],
        "group": [grouped.task_id],
        "type": [typed.task_id],
        "queue": [queued.task_id],
        "both": [],
    }
    await steps.put(replica, *(steps.hand_out(task.task_id) for task in (plain, grouped, typed, queued)))
    both = await steps.put_one(replica, steps.create(group="agent", type="report"))
    for watcher in watchers.values():
        await watcher.reaches(both.revision)
        await watcher.stop()
    told = {name: [event.task_id for event in watcher.events] for name, watcher in watchers.items()}
    assert told == {
        "ids": [plain.task_id],
        "group": [grouped.task_id, both.task_id],
        "type": [typed.task_id, both.task_id],
        "queue": [queued.task_id],
        "both": [both.task_id],
    }


async def test_progress_is_conflated_and_never_older_than_a_transition_sent(replica: Replica) -> None:
    task = await steps.run_to_start(replica)
    task_id, token = task.task_id, task.fencing_token
    async with watching(replica) as everything, watching(replica, task_ids=frozenset({task_id})) as named:
        for done in range(1, 30):
            await steps.put_one(replica, steps.progress(task_id, token, done))
        last = await steps.put_one(replica, steps.phase(task_id, token, "fetch"))
        for done in range(30, 51):
            last = await steps.put_one(replica, steps.progress(task_id, token, done))
        for watcher in (everything, named):
            await await_until(lambda watcher=watcher: _newest(watcher).revision == last.revision, what="all of it")
    for watcher in (everything, named):
        assert _newest(watcher).done == 50
        seen = [change.task for delivery in watcher.deliveries[1:] for change in delivery.changes if change.task]
        revisions = [shown.revision for shown in seen]
        assert revisions == sorted(revisions)
        assert len(watcher.events) == 1
    # A watcher that names no task is paced: it got far fewer than there were.
    assert len(everything.progress) < 40


async def test_the_newest_state_is_told_even_when_everything_came_in_one_batch(replica: Replica) -> None:
    one, two = [await steps.run_to_start(replica) for _ in range(2)]
    async with watching(replica) as watcher:
        tasks = await steps.put(
            replica,
            steps.progress(one.task_id, one.fencing_token, 1),
            steps.progress(two.task_id, two.fencing_token, 1),
            steps.phase(one.task_id, one.fencing_token, "fetch"),
            steps.progress(two.task_id, two.fencing_token, 2),
            steps.progress(one.task_id, one.fencing_token, 2),
        )
        await watcher.reaches(tasks[-1].revision)
        await await_until(lambda: len({task.task_id for task in watcher.progress}) >= 1, what="progress comes")
    newest = {change.task.task_id: change.task for change in watcher.changes if change.task}
    assert newest == {one.task_id: tasks[4], two.task_id: tasks[3]}


@pytest.mark.parametrize("listening", [True, False], ids=["notified", "polling"])
async def test_two_replicas_serve_the_same_watch(database_url: str, listening: bool) -> None:
    poll = FeedSettings(poll_s=5.0 if listening else 0.05)
    async with (
        running_replica(database_url) as writer,
        running_replica(database_url, feed=poll, listening=listening) as reader,
    ):
        await steps.declare(writer)
        async with watching(writer) as here, watching(reader) as there:
            for _ in range(3):
                task = await steps.run_to_end(writer)
                # Within a NOTIFY, far below the five seconds of its poll.
                await there.reaches(task.revision, timeout=2)
            await here.reaches(task.revision)
        assert here.revisions == there.revisions == event_revisions(database_url)
        assert here.events == there.events


async def test_a_replica_hears_again_after_its_listening_connection_broke(replica: Replica, database_url: str) -> None:
    async with running_replica(database_url, feed=FeedSettings(poll_s=60)) as reader, watching(reader) as watcher:
        killed = query(
            database_url,
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'taskstate listen'"
            " and datname = current_database()",
        )
        assert len(killed) == 2
        task = await steps.put_one(replica, steps.create())
        await watcher.reaches(task.revision, timeout=5)


async def test_checkpoints_come_while_idle_and_not_without_the_database(database_url: str) -> None:
    assert CHECKPOINT_S <= 2.0
    async with running_replica(database_url, feed=FeedSettings(poll_s=0.1)) as replica, watching(replica) as watcher:
        await steps.put_one(replica, steps.create())
        before = len(watcher.checkpoints)
        await await_until(lambda: len(watcher.checkpoints) >= before + 2, 5, "checkpoints while idle")
        assert watcher.checkpoints[-1].revision == newest_revision(database_url)
        with database_away(database_url):
            known = replica.feed.server_time
            await await_until(lambda: time.monotonic() - replica.feed.confirmed > SOON_S, 5, "it is away for long")
            before = len(watcher.checkpoints)
            await await_until(lambda: watcher.watch._next_checkpoint + SOON_S < time.monotonic(), 5, "one is overdue")
            # What was known when the database went is all that may be claimed.
            assert len(watcher.checkpoints) == before
            assert watcher.checkpoints[-1].time <= known
        await await_until(lambda: len(watcher.checkpoints) > before, 5, "they come again")
        assert watcher.checkpoints[-1].time > known


async def test_a_stopping_replica_ends_its_watches(replica: Replica) -> None:
    watchers = [Watcher(watch(replica)), Watcher(watch(replica, 0))]
    await watchers[0].begun()
    await asyncio.sleep(0)
    replica.feed.close()
    for watcher in watchers:
        assert isinstance(await watcher.ended(), ReplicaStopping)
    assert isinstance(await Watcher(watch(replica, 0)).ended(), ReplicaStopping)


async def test_a_watcher_that_left_is_forgotten(replica: Replica) -> None:
    before = set(replica.feed._subscribers)
    async with watching(replica), watching(replica, group="agent"):
        assert set(replica.feed._subscribers) - before == {"*", "group:agent"}
    assert set(replica.feed._subscribers) == before


async def test_own_commits_reach_the_watch_without_a_read(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "NOTIFY_CHANNEL", "nobody_listens")
    async with watching(replica) as watcher:
        task = await steps.put_one(replica, steps.create())
        # The answer and the watch come from the same commit: no waiting for a poll.
        assert replica.feed.revision == task.revision
        await watcher.reaches(task.revision, timeout=0.5)


def _newest(watcher: Watcher):
    return [change.task for change in watcher.changes if change.task][-1]


async def _quiet_progress(watcher: Watcher) -> None:
    """Wait until the watcher has looked for progress after everything it was told."""
    await await_until(
        lambda: watcher.watch._progress_cursor >= watcher.watch.cursor, what="the watcher has looked for progress"
    )


async def test_a_resume_by_a_transition_tells_progress_from_before_it(replica: Replica) -> None:
    task = await steps.run_to_start(replica)
    reported = await steps.put_one(replica, steps.progress(task.task_id, task.fencing_token, done=5))
    # A transition of another task comes after it, and is the last thing the watcher saw.
    later = await steps.put_one(replica, steps.create())
    async with watching(replica, later.revision) as watcher:
        await await_until(lambda: reported.revision in {task.revision for task in watcher.progress})


async def test_progress_alone_does_not_fill_the_ring(replica: Replica) -> None:
    task = await steps.run_to_start(replica)
    before = len(replica.feed._ring)
    for done in range(1, 21):
        await steps.put_one(replica, steps.progress(task.task_id, task.fencing_token, done))
    assert len(replica.feed._ring) == before
    async with watching(replica, task.revision) as watcher:
        ended = await steps.put_one(replica, steps.finish(task.task_id, task.fencing_token))
        await watcher.reaches(ended.revision)
    assert watcher.revisions == [ended.revision]


async def test_a_large_result_is_left_out_on_whichever_replica(replica: Replica, database_url: str) -> None:
    small, large = await steps.run_to_start(replica), await steps.run_to_start(replica)
    async with running_replica(database_url) as other, watching(replica) as own, watching(other) as others:
        await steps.put_one(replica, steps.finish(small.task_id, small.fencing_token, '"small"'))
        result = '"' + 20_000 * "x" + '"'
        ended = await steps.put_one(replica, steps.finish(large.task_id, large.fencing_token, result))
        for watcher in (own, others):
            await watcher.reaches(ended.revision)
            shown = [change.task for change in watcher.changes if change.event and change.task]
            assert [(task.result, task.result_size) for task in shown] == [('"small"', 7), (None, 20_002)]


async def test_who_names_tasks_catches_up_with_these_alone(
    replica: Replica, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, other = await steps.run_to_start(replica), await steps.run_to_start(replica)
    for task in (wanted, other):
        await steps.put_one(replica, steps.progress(task.task_id, task.fencing_token, 5))
    seen: list[set[str]] = []
    read_after = feed_read.read_after

    def noted(*args: Any) -> Any:
        read = read_after(*args)
        seen.append({*read.tasks, *(event.task_id for event in read.events)})
        return read

    async with running_replica(database_url) as restarted:
        monkeypatch.setattr("services.taskstate.watch.feed_read.read_after", noted)
        async with watching(restarted, 0, task_ids=frozenset({wanted.task_id})) as watcher:
            await watcher.reaches(newest_revision(database_url))
        assert watcher.revisions == event_revisions(database_url, 0, "task_id = %s", wanted.task_id)
        assert [(task.task_id, task.done) for task in watcher.progress] == [(wanted.task_id, 5)]
    assert {wanted.task_id} in seen
    # The feed's own reads may be among these; none of them reads what a named watcher need not.
    assert all(other.task_id not in tasks for tasks in seen)


async def test_a_replica_that_has_just_begun_knows_the_progress_from_before(
    replica: Replica, database_url: str
) -> None:
    task = await steps.run_to_start(replica)
    await steps.put_one(replica, steps.progress(task.task_id, task.fencing_token, 5))
    cursor = (await steps.put_one(replica, steps.create())).revision
    async with running_replica(database_url) as restarted, watching(restarted, cursor) as watcher:
        await await_until(lambda: watcher.progress, what="the progress it may have missed")
        assert [(told.task_id, told.done) for told in watcher.progress] == [(task.task_id, 5)]
        assert watcher.revisions == []
