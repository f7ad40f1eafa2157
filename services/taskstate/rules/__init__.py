"""The rules of the state machine, by the part of a task's life they judge.

- `common`: the shape of an answer, the facts, shared questions.
- `dispatch`: create, wait, hand out, confirm, hand back.
- `carrying`: which stream carries an attempt.
- `attempt`: start, progress, phases, the last word, the exit.
- `ending`: how an attempt ends that did not succeed, whatever ended it.
- `stop`: cancel, and its receipt.
- `holder`: heartbeats, broken streams, returns, the sweep's verdicts.

Each rule is a pure function `(task, facts, command, now, revision) -> Change | Refused`; `decide` holds their table.
"""
