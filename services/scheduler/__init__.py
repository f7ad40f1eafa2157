"""Everything that happens because time passed, by asking TaskState for it.

The scheduler owns nothing. It holds no lease and has no leader: any number of schedulers may run, because each thing it
does is a call that TaskState decides by itself, and doing it twice is the same as doing it once. Kill it at any moment
and nothing is lost; start two and nothing happens twice.

Each background service is one file with one shape: a class with a ``run_once()`` that does what is due and answers a
result of counts, with no loop, no sleep and no clock of its own. ``loop.py`` is the one loop: it runs a service again and
again, backs off when something it needs is away, says once what it waits for, and logs a run only if it did something.
Tests call ``run_once`` and never wait for a timer.

Background services so far:

- ``dispatcher``: takes due tasks from TaskState and puts their messages into the RQ queues (``broker``), then confirms.
- ``sweeper``: has TaskState end what is over, every second.

The process serves ``grpc.health.v1`` on its own port: "" and "scheduler.<service>" say whether the services have what
they need; "live" says only that the process runs, for a probe that restarts it.
"""
