"""The gRPC edge: validate, call, render. No SQL, no decisions.

- `validation`: from requests to commands and filters; every bad field at once, each with what would be right.
- `errors`: one table from refusals and exceptions to canonical code and reason.
- `interceptors`: wraps every method, so that no handler deals with errors.
- `render`: from the domain to messages.
- `task_service`, `maintenance_service`, `worker_service`, `session`: the handlers.
"""
