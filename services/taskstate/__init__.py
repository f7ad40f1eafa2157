"""TaskState: the one service that owns every task's state, behind gRPC (`taskstate.v1`), on PostgreSQL.

How to read it, inside out:

- `model`, `command`, `decide`, `rules`, `progress`, `clockwork`: the pure domain. `decide(task, facts, command, now,
  revision)` answers what a command changes, or why it is refused. No clock, no SQL, no protobuf.
- `store`: all SQL. One function is one statement or one transaction.
- `pipeline` with its `overlay`: the one writer order. Commands are gathered while the previous batch commits; one
  transaction takes the single `revision` row (its lock is the order, across all replicas), loads, decides, writes and
  commits; only then is anyone answered.
- `feed` and `watch`: how readers learn of commits, as etcd's watch does it: a state, then changes, each with its revision.
- `reads` and `records`: plain questions, and what is written outside the one order.
- `leases`: this replica's own row, which says that it may vouch for the streams it holds.
- `dispatching` and `sweeping`: what may go to the queues now, and what is over.
- `api`: the gRPC edge: validate, call, render.
- `service` composes them, `__main__` runs them.
"""
