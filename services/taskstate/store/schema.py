"""The tables. Wide and immutable apart from small and hot, so that a progress update is a HOT update touching no index.

`namespace` stands in specs, events, counters and types from the first migration; there is no API for it until namespaces
are built. Times come from the database's clock as read in the revision statement.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

from services.taskstate.model import EventKind, Liveness, Reason, TaskState, WaitReason

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    }
)

ACTIVE = "state in ('PENDING', 'QUEUED', 'RUNNING', 'RETRYING')"


def _time(name: str, nullable: bool = True) -> Column[Any]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


def _text(name: str, default: str | None = "", **kwargs: Any) -> Column[Any]:
    server_default = None if default is None else text(f"'{default}'")
    return Column(name, Text, nullable=False, server_default=server_default, **kwargs)


def _one_of(column: str, values: type[TaskState | Reason | WaitReason | EventKind | Liveness]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} in ({listed})", name=column)


revision = Table(
    "revision",
    metadata,
    Column("one", Boolean, primary_key=True, server_default=text("true")),
    Column("n", BigInteger, nullable=False, server_default=text("0"), comment="the newest revision; the order's lock"),
    Column("at", DateTime(timezone=True), nullable=False, server_default=text("clock_timestamp()")),
    Column("compacted", BigInteger, nullable=False, server_default=text("0"), comment="history up to here is not kept"),
    CheckConstraint("one", name="one"),
    postgresql_with={"fillfactor": 10},
)

cluster = Table(
    "cluster",
    metadata,
    Column("one", Boolean, primary_key=True, server_default=text("true")),
    Column("hold_until", DateTime(timezone=True), comment="outage credit: nobody is given up before"),
    CheckConstraint("one", name="one"),
)

replica = Table(
    "replica",
    metadata,
    _text("replica_id", None, primary_key=True),
    _text("host"),
    Column("pid", Integer, nullable=False),
    _time("start_time", nullable=False),
    _time("renew_time", nullable=False),
    _time("lease_until", nullable=False),
)

writer = Table(
    "writer",
    metadata,
    _text("replica_id", None, primary_key=True),
    Column("batch", BigInteger, nullable=False, comment="the replica's newest committed batch: settles a lost COMMIT"),
)

task_type = Table(
    "task_type",
    metadata,
    _text("namespace", "default", primary_key=True),
    _text("name", None, primary_key=True),
    _text("queue", None),
    Column("timeout_s", Double),
    Column("stall_timeout_s", Double),
    Column("max_attempts", Integer, nullable=False),
    Column("retry_on_loss", Boolean, nullable=False),
    Column("phases", JSONB, nullable=False),
    _text("description"),
    Column("exclusive", Boolean, nullable=False),
    _time("declare_time", nullable=False),
)

task_spec = Table(
    "task_spec",
    metadata,
    Column("task_id", UUID(as_uuid=False), primary_key=True),
    _text("namespace", "default"),
    _text("type", None),
    Column("queue", Text, comment="null until the type is known"),
    _text("group"),
    _text("name"),
    _text("job_type"),
    _text("trigger_source"),
    _text("payload", None),
    _text("request_id"),
    _text("request_hash"),
    Column("priority", SmallInteger, nullable=False),
    Column("retry_of", UUID(as_uuid=False)),
    Column("policy_frozen", Boolean, nullable=False),
    Column("timeout_s", Double),
    Column("stall_timeout_s", Double),
    Column("max_attempts", Integer),
    Column("retry_on_loss", Boolean),
    Column("exclusive", Boolean, nullable=False),
    _time("create_time", nullable=False),
    Column("create_revision", BigInteger, nullable=False),
    CheckConstraint("not policy_frozen or (queue is not null and max_attempts is not null)", name="policy"),
    CheckConstraint("octet_length(payload) <= 65536", name="payload"),
    Index(
        "task_spec_request_id_key", "namespace", "request_id", unique=True, postgresql_where=text("request_id <> ''")
    ),
    Index("task_spec_newest_idx", "namespace", "create_revision"),
    Index("task_spec_type_idx", "namespace", "type", "create_revision"),
    Index("task_spec_queue_idx", "namespace", "queue", "create_revision"),
    Index("task_spec_job_type_idx", "namespace", "job_type", "create_revision"),
    Index("task_spec_group_idx", "namespace", "group", "create_revision", postgresql_where=text("\"group\" <> ''")),
    Index("task_spec_create_time_idx", "namespace", "create_time"),
)

task_status = Table(
    "task_status",
    metadata,
    Column("task_id", UUID(as_uuid=False), primary_key=True),
    _text("state", None),
    _text("reason"),
    _text("wait_reason"),
    Column("dispatch", Integer, nullable=False),
    _time("handed_out_time"),
    _time("due_time"),
    Column("slot", Text, comment="the group whose slot it holds: from hand-out until its process is gone"),
    Column("attempt", Integer, nullable=False),
    Column("uncounted", Integer, nullable=False, comment="attempts that do not count against max_attempts"),
    _text("liveness"),
    _time("suspect_until"),
    Column("cancel", JSONB),
    _time("end_time"),
    Column("create_revision", BigInteger, nullable=False, comment="as in task_spec: lists by state need it beside it"),
    Column("event_revision", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("done", Double, nullable=False),
    Column("total", Double),
    _text("message"),
    _text("phase"),
    Column("phases", JSONB, nullable=False),
    Column("items_processed", BigInteger, nullable=False),
    Column("items_failed", BigInteger, nullable=False),
    _time("heard_time"),
    _one_of("state", TaskState),
    _one_of("reason", Reason),
    _one_of("wait_reason", WaitReason),
    _one_of("liveness", Liveness),
    CheckConstraint("liveness = '' or state = 'RUNNING'", name="alive"),
    CheckConstraint(f"({ACTIVE}) = (end_time is null)", name="ended"),
    CheckConstraint("state <> 'RUNNING' or attempt > 0", name="attempt"),
    CheckConstraint("done >= 0 and done < 'Infinity'", name="done"),
    CheckConstraint("total is null or (total >= 0 and total < 'Infinity')", name="total"),
    CheckConstraint("items_processed >= 0 and items_failed >= 0", name="items"),
    # Nothing hot stands in an index or in an index's predicate, or progress would not be a HOT update.
    Index("task_status_active_idx", "state", "due_time", postgresql_where=text(ACTIVE)),
    Index("task_status_slot_idx", "slot", postgresql_where=text("slot is not null")),
    Index("task_status_state_idx", "state", "create_revision"),
    postgresql_with={"fillfactor": 70},
)

attempt = Table(
    "attempt",
    metadata,
    Column("task_id", UUID(as_uuid=False), primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("fencing_token", BigInteger, nullable=False),
    _text("start_id", None),
    _text("replica_id", None),
    _text("stream_id", None),
    Column("worker", JSONB, nullable=False),
    _time("start_time", nullable=False),
    _time("attempt_end_time"),
    _time("gone_time"),
    Column("exit", JSONB),
    Column("error", JSONB),
    # At most one attempt of a task is running: the invariant in the schema.
    Index("attempt_running_key", "task_id", unique=True, postgresql_where=text("attempt_end_time is null")),
    Index("attempt_present_idx", "attempt_end_time", postgresql_where=text("gone_time is null")),
    Index("attempt_stream_idx", "replica_id", "stream_id", postgresql_where=text("attempt_end_time is null")),
)

task_result = Table(
    "task_result",
    metadata,
    Column("task_id", UUID(as_uuid=False), primary_key=True),
    Column("result", Text, nullable=False),
    Column("result_size", Integer, nullable=False),
    CheckConstraint("result_size <= 524288", name="result_size"),
)

event = Table(
    "event",
    metadata,
    Column("revision", BigInteger, primary_key=True, autoincrement=False),
    _text("namespace", "default"),
    Column("task_id", UUID(as_uuid=False), nullable=False),
    _text("kind", None),
    Column("from_state", Text),
    _text("to_state", None),
    _text("reason"),
    _text("message"),
    Column("attempt", Integer, nullable=False),
    _text("actor", None),
    _text("operation_id"),
    _time("time", nullable=False),
    Column("changes", JSONB, nullable=False),
    _one_of("kind", EventKind),
    Index("event_task_idx", "task_id", "revision"),
)

log_line = Table(
    "log_line",
    metadata,
    Column("task_id", UUID(as_uuid=False), primary_key=True),
    Column("sequence", BigInteger, primary_key=True, comment="attempt << 32 | n"),
    Column("level", SmallInteger, nullable=False),
    _time("time", nullable=False),
    _text("text", None),
    _text("logger"),
)

late_report = Table(
    "late_report",
    metadata,
    Column("task_id", UUID(as_uuid=False), primary_key=True),
    Column("fencing_token", BigInteger, primary_key=True),
    _text("kind", None, primary_key=True),
    Column("count", Integer, nullable=False, comment="how often it came"),
    _time("first_time", nullable=False),
    _time("last_time", nullable=False),
    _text("worker_id"),
    Column("body", JSONB, comment="a finish whole, for an operator to adopt; null for other reports"),
)

task_counter = Table(
    "task_counter",
    metadata,
    _text("namespace", "default", primary_key=True),
    _text("type", None, primary_key=True),
    _text("state", None, primary_key=True),
    Column("n", BigInteger, nullable=False),
    postgresql_with={"fillfactor": 20},
)
