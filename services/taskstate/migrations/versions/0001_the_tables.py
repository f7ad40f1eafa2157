"""The tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make them, and the one row of `revision` and of `cluster`."""
    op.create_table(
        "attempt",
        sa.Column("task_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("fencing_token", sa.BigInteger(), nullable=False),
        sa.Column("start_id", sa.Text(), nullable=False),
        sa.Column("replica_id", sa.Text(), nullable=False),
        sa.Column("stream_id", sa.Text(), nullable=False),
        sa.Column("worker", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("start_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempt_end_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("gone_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("exit", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("error", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.PrimaryKeyConstraint("task_id", "attempt", name=op.f("attempt_pkey")),
    )
    op.create_index(
        "attempt_present_idx",
        "attempt",
        ["attempt_end_time"],
        unique=False,
        postgresql_where=sa.text("gone_time is null"),
    )
    op.create_index(
        "attempt_running_key", "attempt", ["task_id"], unique=True, postgresql_where=sa.text("attempt_end_time is null")
    )
    op.create_index(
        "attempt_stream_idx",
        "attempt",
        ["replica_id", "stream_id"],
        unique=False,
        postgresql_where=sa.text("attempt_end_time is null"),
    )
    op.create_table(
        "cluster",
        sa.Column("one", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column(
            "hold_until", sa.DateTime(timezone=True), nullable=True, comment="outage credit: nobody is given up before"
        ),
        sa.CheckConstraint("one", name=op.f("cluster_one_check")),
        sa.PrimaryKeyConstraint("one", name=op.f("cluster_pkey")),
    )
    op.create_table(
        "event",
        sa.Column("revision", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("namespace", sa.Text(), server_default=sa.text("'default'"), nullable=False),
        sa.Column("task_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("from_state", sa.Text(), nullable=True),
        sa.Column("to_state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("message", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("operation_id", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changes", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.CheckConstraint(
            "kind in ('CREATED', 'WAITING', 'HANDED_OUT', 'QUEUED', 'STARTED', 'PHASE', 'FINISHED', 'EXITED', 'CANCEL_REQUESTED', 'CANCEL_ADVANCED', 'SUSPECTED', 'RESUMED', 'LIVENESS', 'EXPIRED', 'GIVEN_UP', 'RELEASED')",
            name=op.f("event_kind_check"),
        ),
        sa.PrimaryKeyConstraint("revision", name=op.f("event_pkey")),
    )
    op.create_index("event_task_idx", "event", ["task_id", "revision"], unique=False)
    op.create_table(
        "late_report",
        sa.Column("task_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("fencing_token", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False, comment="how often it came"),
        sa.Column("first_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("worker_id", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column(
            "body",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="a finish whole, for an operator to adopt; null for other reports",
        ),
        sa.PrimaryKeyConstraint("task_id", "fencing_token", "kind", name=op.f("late_report_pkey")),
    )
    op.create_table(
        "log_line",
        sa.Column("task_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False, comment="attempt << 32 | n"),
        sa.Column("level", sa.SmallInteger(), nullable=False),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("logger", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.PrimaryKeyConstraint("task_id", "sequence", name=op.f("log_line_pkey")),
    )
    op.create_table(
        "replica",
        sa.Column("replica_id", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("start_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("renew_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("replica_id", name=op.f("replica_pkey")),
    )
    op.create_table(
        "revision",
        sa.Column("one", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column(
            "n",
            sa.BigInteger(),
            server_default=sa.text("0"),
            nullable=False,
            comment="the newest revision; the order's lock",
        ),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column(
            "compacted",
            sa.BigInteger(),
            server_default=sa.text("0"),
            nullable=False,
            comment="history up to here is not kept",
        ),
        sa.CheckConstraint("one", name=op.f("revision_one_check")),
        sa.PrimaryKeyConstraint("one", name=op.f("revision_pkey")),
        postgresql_with={"fillfactor": 10},
    )
    op.create_table(
        "task_counter",
        sa.Column("namespace", sa.Text(), server_default=sa.text("'default'"), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("namespace", "type", "state", name=op.f("task_counter_pkey")),
        postgresql_with={"fillfactor": 20},
    )
    op.create_table(
        "task_result",
        sa.Column("task_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("result_size", sa.Integer(), nullable=False),
        sa.CheckConstraint("result_size <= 524288", name=op.f("task_result_result_size_check")),
        sa.PrimaryKeyConstraint("task_id", name=op.f("task_result_pkey")),
    )
    op.create_table(
        "task_spec",
        sa.Column("task_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("namespace", sa.Text(), server_default=sa.text("'default'"), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("queue", sa.Text(), nullable=True, comment="null until the type is known"),
        sa.Column("group", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("name", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("job_type", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("trigger_source", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("request_hash", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("retry_of", sa.UUID(as_uuid=False), nullable=True),
        sa.Column("policy_frozen", sa.Boolean(), nullable=False),
        sa.Column("timeout_s", sa.Double(), nullable=True),
        sa.Column("stall_timeout_s", sa.Double(), nullable=True),
        sa.Column("max_attempts", sa.Integer(), nullable=True),
        sa.Column("retry_on_loss", sa.Boolean(), nullable=True),
        sa.Column("exclusive", sa.Boolean(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("create_revision", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "not policy_frozen or (queue is not null and max_attempts is not null)", name=op.f("task_spec_policy_check")
        ),
        sa.CheckConstraint("octet_length(payload) <= 65536", name=op.f("task_spec_payload_check")),
        sa.PrimaryKeyConstraint("task_id", name=op.f("task_spec_pkey")),
    )
    op.create_index("task_spec_create_time_idx", "task_spec", ["namespace", "create_time"], unique=False)
    op.create_index(
        "task_spec_group_idx",
        "task_spec",
        ["namespace", "group", "create_revision"],
        unique=False,
        postgresql_where=sa.text("\"group\" <> ''"),
    )
    op.create_index("task_spec_job_type_idx", "task_spec", ["namespace", "job_type", "create_revision"], unique=False)
    op.create_index("task_spec_newest_idx", "task_spec", ["namespace", "create_revision"], unique=False)
    op.create_index("task_spec_queue_idx", "task_spec", ["namespace", "queue", "create_revision"], unique=False)
    op.create_index(
        "task_spec_request_id_key",
        "task_spec",
        ["namespace", "request_id"],
        unique=True,
        postgresql_where=sa.text("request_id <> ''"),
    )
    op.create_index("task_spec_type_idx", "task_spec", ["namespace", "type", "create_revision"], unique=False)
    op.create_table(
        "task_status",
        sa.Column("task_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("wait_reason", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("dispatch", sa.Integer(), nullable=False),
        sa.Column("handed_out_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("due_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "slot",
            sa.Text(),
            nullable=True,
            comment="the group whose slot it holds: from hand-out until its process is gone",
        ),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("uncounted", sa.Integer(), nullable=False, comment="attempts that do not count against max_attempts"),
        sa.Column("liveness", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("suspect_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancel", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("end_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "create_revision",
            sa.BigInteger(),
            nullable=False,
            comment="as in task_spec: lists by state need it beside it",
        ),
        sa.Column("event_revision", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("done", sa.Double(), nullable=False),
        sa.Column("total", sa.Double(), nullable=True),
        sa.Column("message", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("phase", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("phases", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("items_processed", sa.BigInteger(), nullable=False),
        sa.Column("items_failed", sa.BigInteger(), nullable=False),
        sa.Column("heard_time", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state in ('PENDING', 'QUEUED', 'RUNNING', 'RETRYING')) = (end_time is null)",
            name=op.f("task_status_ended_check"),
        ),
        sa.CheckConstraint("done >= 0 and done < 'Infinity'", name=op.f("task_status_done_check")),
        sa.CheckConstraint("liveness = '' or state = 'RUNNING'", name=op.f("task_status_alive_check")),
        sa.CheckConstraint(
            "liveness in ('', 'LIVE', 'SUSPECT', 'UNRESPONSIVE')", name=op.f("task_status_liveness_check")
        ),
        sa.CheckConstraint(
            "reason in ('', 'ERROR', 'TIMEOUT', 'STALLED', 'FORCE_CANCELLED', 'WORKER_LOST', 'WORKER_DRAINED', 'ENQUEUE_FAILED', 'DEPENDENCY_FAILED', 'RESET', 'ADOPTED')",
            name=op.f("task_status_reason_check"),
        ),
        sa.CheckConstraint("state <> 'RUNNING' or attempt > 0", name=op.f("task_status_attempt_check")),
        sa.CheckConstraint(
            "state in ('PENDING', 'QUEUED', 'RUNNING', 'RETRYING', 'SUCCEEDED', 'FAILED', 'CANCELLED', 'LOST')",
            name=op.f("task_status_state_check"),
        ),
        sa.CheckConstraint(
            "total is null or (total >= 0 and total < 'Infinity')", name=op.f("task_status_total_check")
        ),
        sa.CheckConstraint(
            "wait_reason in ('', 'DISPATCH', 'TIME', 'DEPENDENCY', 'SLOT', 'PREVIOUS_PROCESS', 'NO_WORKER', 'PAUSED')",
            name=op.f("task_status_wait_reason_check"),
        ),
        sa.CheckConstraint("items_processed >= 0 and items_failed >= 0", name=op.f("task_status_items_check")),
        sa.PrimaryKeyConstraint("task_id", name=op.f("task_status_pkey")),
        postgresql_with={"fillfactor": 70},
    )
    op.create_index(
        "task_status_active_idx",
        "task_status",
        ["state", "due_time"],
        unique=False,
        postgresql_where=sa.text("state in ('PENDING', 'QUEUED', 'RUNNING', 'RETRYING')"),
    )
    op.create_index(
        "task_status_slot_idx", "task_status", ["slot"], unique=False, postgresql_where=sa.text("slot is not null")
    )
    op.create_index("task_status_state_idx", "task_status", ["state", "create_revision"], unique=False)
    op.create_table(
        "task_type",
        sa.Column("namespace", sa.Text(), server_default=sa.text("'default'"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("timeout_s", sa.Double(), nullable=True),
        sa.Column("stall_timeout_s", sa.Double(), nullable=True),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        sa.Column("retry_on_loss", sa.Boolean(), nullable=False),
        sa.Column("phases", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("description", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("exclusive", sa.Boolean(), nullable=False),
        sa.Column("declare_time", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("namespace", "name", name=op.f("task_type_pkey")),
    )
    op.create_table(
        "writer",
        sa.Column("replica_id", sa.Text(), nullable=False),
        sa.Column(
            "batch",
            sa.BigInteger(),
            nullable=False,
            comment="the replica's newest committed batch: settles a lost COMMIT",
        ),
        sa.PrimaryKeyConstraint("replica_id", name=op.f("writer_pkey")),
    )
    # The one row: its lock is the order of all changes.
    op.execute("insert into revision default values")
    op.execute("insert into cluster default values")
