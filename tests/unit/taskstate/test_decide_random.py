"""The core against a second model, over many random lives of tasks. A failure names its seed, and the same seed fails again.

`TASKSTATE_TEST_SEEDS` and `TASKSTATE_TEST_STEPS` make a longer run.
"""

from __future__ import annotations

import os
from collections import Counter

from tests.unit.taskstate.steps import run

SEEDS = int(os.environ.get("TASKSTATE_TEST_SEEDS", "40"))
STEPS = int(os.environ.get("TASKSTATE_TEST_STEPS", "300"))

MUST_BE_SEEN = """
CreateTask -: PENDING CREATED | CreateTask -: no-op | CreateTask -: REQUEST_ID_CONFLICT
CreateTask PENDING: REQUEST_ID_CONFLICT
NoteWait PENDING: PENDING WAITING
HandOut PENDING: PENDING HANDED_OUT | HandOut PENDING: NOT_DISPATCHABLE
HandOut RETRYING: RETRYING HANDED_OUT | HandOut RETRYING: NOT_DISPATCHABLE
ConfirmDispatch PENDING: QUEUED QUEUED | ConfirmDispatch RETRYING: QUEUED QUEUED
ConfirmDispatch PENDING: STALE_DISPATCH | ConfirmDispatch RUNNING: no-op
ReleaseDispatch PENDING: PENDING RELEASED | ReleaseDispatch QUEUED: PENDING RELEASED
ReleaseDispatch RUNNING: STALE_DISPATCH
StartAttempt QUEUED: RUNNING STARTED | StartAttempt PENDING: RUNNING STARTED | StartAttempt RETRYING: RUNNING STARTED
StartAttempt RUNNING: RUNNING RESUMED | StartAttempt RUNNING: STALE_DISPATCH | StartAttempt QUEUED: HOLDER_DEAD
StartAttempt SUCCEEDED: STALE_DISPATCH | StartAttempt CANCELLED: STALE_DISPATCH
ReportProgress RUNNING: hot | ReportProgress RUNNING: no-op | ReportProgress RUNNING: TOKEN_LOST
ReportProgress SUCCEEDED: TOKEN_LOST | ReportProgress RETRYING: TOKEN_LOST
ReportPhase RUNNING: RUNNING PHASE | ReportPhase RUNNING: hot | ReportPhase RUNNING: no-op
HearAttempt RUNNING: hot | HearAttempt RUNNING: no-op | HearAttempt RUNNING: RUNNING LIVENESS
HearAttempt LOST: TOKEN_LOST | HearAttempt SUCCEEDED: no-op
FinishAttempt RUNNING: SUCCEEDED FINISHED | FinishAttempt RUNNING: FAILED FINISHED
FinishAttempt RUNNING: RETRYING FINISHED | FinishAttempt RUNNING: CANCELLED FINISHED
FinishAttempt RUNNING: TOKEN_LOST | FinishAttempt RUNNING: no-op | FinishAttempt LOST: TOKEN_LOST
AttemptExited RUNNING: LOST EXITED | AttemptExited RUNNING: RETRYING EXITED | AttemptExited RUNNING: CANCELLED EXITED
AttemptExited RUNNING: FAILED EXITED | AttemptExited SUCCEEDED: SUCCEEDED EXITED
AttemptExited RETRYING: RETRYING EXITED | AttemptExited FAILED: FAILED EXITED | AttemptExited LOST: LOST EXITED
CancelTask RUNNING: RUNNING CANCEL_REQUESTED | CancelTask RUNNING: FAILED CANCEL_REQUESTED
CancelTask PENDING: CANCELLED CANCEL_REQUESTED | CancelTask SUCCEEDED: TASK_TERMINAL
AdvanceCancel RUNNING: RUNNING CANCEL_ADVANCED | AdvanceCancel RUNNING: no-op
SuspectAttempt RUNNING: RUNNING SUSPECTED | SuspectAttempt SUCCEEDED: SUCCEEDED SUSPECTED
SuspectAttempt RUNNING: no-op
ResumeAttempt RUNNING: RUNNING RESUMED | ResumeAttempt RUNNING: HOLDER_DEAD | ResumeAttempt LOST: TOKEN_LOST
ExpireAttempt RUNNING: LOST EXPIRED | ExpireAttempt RUNNING: RETRYING EXPIRED | ExpireAttempt RUNNING: CANCELLED EXPIRED
ExpireAttempt RUNNING: no-op | ExpireAttempt RUNNING: HOLDER_DEAD | ExpireAttempt LOST: LOST GIVEN_UP
ExpireAttempt RETRYING: RETRYING GIVEN_UP | ExpireAttempt SUCCEEDED: SUCCEEDED GIVEN_UP
"""


def test_random_lives_keep_every_invariant():
    seen: Counter[str] = Counter()
    for seed in range(SEEDS):
        seen += run(seed, STEPS).checker.seen
    print(f"{len(seen)} different outcomes in {seen.total()} commands of {SEEDS} seeds")
    wanted = {outcome.strip() for line in MUST_BE_SEEN.strip().splitlines() for outcome in line.split("|")}
    assert not wanted - seen.keys(), "the generator does not reach these any more"
    assert len(seen) > 200


def test_a_seed_tells_the_whole_run():
    first, again, other = run(7, 150), run(7, 150), run(8, 150)
    assert first.checker.told == again.checker.told
    assert first.tasks == again.tasks
    assert other.checker.told != first.checker.told
