"""The table of bad requests: for each RPC, what is sent and which field the answer has to name."""

from collections.abc import Iterator
from dataclasses import dataclass

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from taskstate.v1 import maintenance_service_pb2 as maintenance
from taskstate.v1 import task_service_pb2 as tasks

TASK_ID = "0a1b2c3d-0000-4000-8000-000000000000"
KIB = 1024
DAY_S = 86_400


@dataclass(frozen=True)
class BadRequest:
    """One row: the RPC, the request, and the fields that the answer names, all and no others."""

    method: str
    request: Message
    fields: tuple[str, ...]
    label: str

    @property
    def id(self) -> str:
        """For pytest."""
        return f"{self.method}-{self.label}"


def nested(depth: int) -> str:
    """A JSON object that many levels deep."""
    return '{"a":' * depth + "1" + "}" * depth


BAD_TASK_IDS = {
    "empty": "",
    "word": "x",
    "upper": TASK_ID.upper(),
    "braces": f"{{{TASK_ID}}}",
    "no-dashes": TASK_ID.replace("-", ""),
    "urn": f"urn:uuid:{TASK_ID}",
    "space": f"{TASK_ID} ",
    "newline": f"{TASK_ID}\n",
    "megabyte": "a" * 1_000_000,
    "nul": f"{TASK_ID[:-1]}\0",
    "other-digits": TASK_ID.replace("1", "١"),
}
BAD_TYPES = {
    "empty": "",
    "upper": "Canary",
    "path": "../x",
    "space": "a b",
    "long": "a" * 65,
    "nul": "a\0",
    "newline": "a\n",
    "digit": "1a",
}
BAD_QUEUES = {"upper": "Agent", "path": "../x", "dash": "-a", "long": "a" * 65, "nul": "a\0", "colon": "a:b"}
BAD_DURATIONS = {
    "zero": Duration(),
    "negative": Duration(seconds=-1),
    "too-long": Duration(seconds=30 * DAY_S + 1),
    "huge": Duration(seconds=2**62),
    "nanos-negative": Duration(seconds=1, nanos=-1),
    "nanos-large": Duration(seconds=1, nanos=10**9),
    "nanos-smallest": Duration(seconds=1, nanos=-(2**31)),
}
BAD_TIMES = {
    "huge": Timestamp(seconds=2**62),
    "smallest": Timestamp(seconds=-(2**63)),
    "year-10000": Timestamp(seconds=253_402_300_800),
    "before-1970": Timestamp(seconds=-1),
    "nanos-negative": Timestamp(seconds=1, nanos=-1),
    "nanos-large": Timestamp(seconds=1, nanos=10**9),
}
BAD_PAYLOADS = {
    "list": "[]",
    "number": "1",
    "broken": "{",
    "trailing": "{} {}",
    "nan": '{"a": NaN}',
    "infinity": '{"a": -Infinity}',
    "large": '{"a": "' + "x" * (64 * KIB) + '"}',
    "large-utf8": '{"a": "' + "é" * (32 * KIB) + '"}',
    "deep": nested(17),
    "very-deep": '{"a":' + "[" * 60_000,
    "surrogate": '{"a": "\\ud800"}',
    "nul": '{"a": "\\u0000"}',
    "raw-nul": '{"a": "\0"}',
}
TEXT = {"nul": "a\0b", "escape": "a\x1b[2Jb"}


def bad_requests() -> Iterator[BadRequest]:
    """All rows for the RPCs with one request."""
    yield from _create_task()
    yield from _of_one_task()
    yield from _list_tasks()
    yield from _watch_tasks()
    yield from _dispatches()
    yield from _sweeps()


def _create_task() -> Iterator[BadRequest]:
    def row(field: str, label: str, value: object, **others: object) -> BadRequest:
        request = tasks.CreateTaskRequest(**{"type": "sample", field: value, **others})
        return BadRequest("CreateTask", request, (field,), f"{field}-{label}")

    for field, values in (
        ("type", BAD_TYPES),
        ("payload", BAD_PAYLOADS),
        ("queue", BAD_QUEUES),
        ("timeout", BAD_DURATIONS),
        ("stall_timeout", BAD_DURATIONS),
        ("not_before_time", BAD_TIMES),
        ("request_id", {"long": "r" * 129, "control": "a\x7f", "not-ascii": "é", "nul": "a\0"}),
        ("group", {"long": "g" * 129, **TEXT}),
        ("name", {"long": "n" * 201, **TEXT}),
        ("job_type", {"long": "j" * 51, **TEXT}),
        ("trigger_source", {"long": "t" * 101, **TEXT}),
        ("priority", {"high": 11, "low": -11, "largest": 2**31 - 1, "smallest": -(2**31)}),
        ("max_attempts", {"zero": 0, "negative": -1, "high": 101, "largest": 2**31 - 1}),
    ):
        for label, value in values.items():
            yield row(field, label, value)
    everything = tasks.CreateTaskRequest(type="X", payload="[", queue="Q", priority=99, max_attempts=0, name="n" * 201)
    fields = ("type", "payload", "queue", "priority", "max_attempts", "name")
    yield BadRequest("CreateTask", everything, fields, "everything-at-once")


def _of_one_task() -> Iterator[BadRequest]:
    requests = {
        "GetTask": tasks.GetTaskRequest,
        "CancelTask": tasks.CancelTaskRequest,
        "ListTaskEvents": tasks.ListTaskEventsRequest,
        "ListTaskLogs": tasks.ListTaskLogsRequest,
    }
    for method, make in requests.items():
        for label, task_id in BAD_TASK_IDS.items():
            yield BadRequest(method, make(task_id=task_id), ("task_id",), label)
    for method in ("ListTaskEvents", "ListTaskLogs"):
        for field, label, value in (
            ("page_size", "negative", -1),
            ("page_token", "garbage", "!!"),
            ("page_token", "not-ascii", "é"),
            ("page_token", "short", "AAAA"),
            ("page_token", "forged", "AAAAAAAAAAAAAAAAAAAAAA"),
        ):
            request = requests[method](task_id=TASK_ID, **{field: value})
            yield BadRequest(method, request, (field,), f"{field}-{label}")
    for field, label, value in (
        ("after_sequence", "negative", -1),
        ("attempt", "negative", -1),
        ("min_level", "unknown", 99),
        ("min_level", "negative", -1),
    ):
        request = tasks.ListTaskLogsRequest(task_id=TASK_ID, **{field: value})
        yield BadRequest("ListTaskLogs", request, (field,), f"{field}-{label}")
    for label, group in {"empty": "", "long": "g" * 129, **TEXT}.items():
        yield BadRequest("GetActiveTask", tasks.GetActiveTaskRequest(group=group), ("group",), label)


def _list_tasks() -> Iterator[BadRequest]:
    for field, values in (
        ("page_size", {"negative": -1, "smallest": -(2**31)}),
        ("page_token", {"garbage": "!!", "short": "AAAA", "forged": "A" * 22, "long": "A" * 100_000}),
        ("states", {"unspecified": [0], "unknown": [99], "negative": [-1], "among-good": [1, 99]}),
        ("types", {"upper": ["Canary"], "empty": [""], "among-good": ["canary", "a b"]}),
        ("queue", BAD_QUEUES),
        ("group", {"long": "g" * 129, **TEXT}),
        ("job_type", {"long": "j" * 51, **TEXT}),
        ("since_time", BAD_TIMES),
        ("until_time", BAD_TIMES),
        ("text", {"long": "x" * 201, "10-kib": "%" * 10_240, **TEXT}),
        ("order", {"unknown": 99, "negative": -1}),
        ("offset", {"negative": -1, "high": 10_001, "largest": 2**31 - 1}),
    ):
        for label, value in values.items():
            yield BadRequest("ListTasks", tasks.ListTasksRequest(**{field: value}), (field,), f"{field}-{label}")


def _watch_tasks() -> Iterator[BadRequest]:
    for label, task_id in BAD_TASK_IDS.items():
        yield BadRequest("WatchTasks", tasks.WatchTasksRequest(task_ids=[TASK_ID, task_id]), ("task_ids",), label)
    for field, values in (
        ("task_ids", {"1001": [TASK_ID[:-4] + f"{number:04x}" for number in range(1001)]}),
        ("types", {"upper": ["Canary"], "empty": [""]}),
        ("queue", BAD_QUEUES),
        ("group", {"long": "g" * 129, **TEXT}),
        ("from_revision", {"negative": -1, "smallest": -(2**63)}),
    ):
        for label, value in values.items():
            yield BadRequest("WatchTasks", tasks.WatchTasksRequest(**{field: value}), (field,), f"{field}-{label}")


def _dispatches() -> Iterator[BadRequest]:
    for label, number in {"negative": -1, "high": 101, "largest": 2**31 - 1}.items():
        request = maintenance.AcquireDispatchesRequest(max_dispatches=number)
        yield BadRequest("AcquireDispatches", request, ("max_dispatches",), label)
    # Zero is allowed here, as it is the same as unset; and the longest wait is 30 s, not 30 days.
    waits = {label: wait for label, wait in BAD_DURATIONS.items() if label != "zero"} | {"31-s": Duration(seconds=31)}
    for label, wait in waits.items():
        request = maintenance.AcquireDispatchesRequest(wait_timeout=wait)
        yield BadRequest("AcquireDispatches", request, ("wait_timeout",), f"wait-{label}")

    def confirm(label: str, *dispatches: maintenance.Dispatch) -> BadRequest:
        request = maintenance.ConfirmDispatchesRequest(dispatches=dispatches)
        return BadRequest("ConfirmDispatches", request, ("dispatches",), label)

    good = maintenance.Dispatch(task_id=TASK_ID, dispatch=1, queue="default")
    yield confirm("none")
    yield confirm("101", *[good] * 101)
    for label, task_id in BAD_TASK_IDS.items():
        yield confirm(f"task_id-{label}", good, maintenance.Dispatch(task_id=task_id, dispatch=1, queue="default"))
    for label, number in {"zero": 0, "negative": -1, "smallest": -(2**31)}.items():
        yield confirm(f"dispatch-{label}", maintenance.Dispatch(task_id=TASK_ID, dispatch=number, queue="default"))


def _sweeps() -> Iterator[BadRequest]:
    for field, values in (
        ("page_size", {"negative": -1, "smallest": -(2**31)}),
        ("page_token", {"garbage": "!!", "short": "AAAA", "forged": "A" * 22, "not-ascii": "é"}),
        ("max_age", BAD_DURATIONS),
    ):
        for label, value in values.items():
            request = maintenance.PlanSweepRequest(**{field: value})
            yield BadRequest("PlanSweep", request, (field,), f"{field}-{label}")
