"""All SQL of TaskState: one function is one statement or one transaction.

- `schema`: the tables, as the newest migration makes them.
- `engine`: connections with the time-outs that keep a frozen replica from holding the order.
- `batch`: the pipeline's transaction: take the revision row, load, write.
- `rows`: a task to and from its rows.
- `task_query`, `history_query`: reads for people and frontends.
- `feed_read`: what the watch needs: the revision, the transitions and the progress after a revision.
- `dispatch_plan`: which tasks may be handed out now, and what the others wait for.
- `lease_rows`, `type_rows`, `log_lines`: the small rest, outside the one order.
"""
