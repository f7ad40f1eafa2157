"""The service processes: `python -m services.taskstate`, `services.scheduler`, `services.gateway`, and `services.up`.

Never put this folder itself on `sys.path`: `services/taskstate` would shadow the SDK package `taskstate`.
"""

import os

# gRPC's core writes lines of its own form to stderr, for example when a peer goes away, which is no event of interest and
# would stand between our JSON lines. It reads this when it is loaded, so it is set before any of our modules loads it.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
