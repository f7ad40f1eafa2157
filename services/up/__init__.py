"""The whole stack on this machine: `python -m services.up`, also `taskstate up`, `make up`, `make demo`.

`up` composes what a small deployment would: an embedded PostgreSQL and Redis-compatible server, the migration, the
three services and one supervisor with its RQ workers. Each is a *part* (`part.py`): a child in the foreground, in a
process group of its own, started again with back-off when it dies, its output kept in a bounded log file.

Three rules shape the code:

- **Nothing outlives `up`.** Each part asks the kernel to be killed when `up` dies (`launch.py`), so even a SIGKILL
  leaves nothing behind, and the next start finds data that the servers' own recovery can read.
- **Touch only what is ours.** Parts are stopped by their process id, files are given to the servers' account only if
  we made them, and no folder above the data folder changes its mode (`data_folder.py`).
- **One clear line** for everything that can go wrong at start (`problem.py`), with a documented exit code.

The embedded servers are usable alone (`embedded_postgres.py`, `embedded_redis.py`): the tests run on them too.
"""
