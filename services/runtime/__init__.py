"""What every service process needs, and nothing that knows a service.

A process of taskstate is composed in its package's ``__main__`` from the same four pieces, so that all of them are set
up, speak and stop alike:

- ``settings``: the environment, read once at start. All mistakes are reported together, one line each, and the process
  exits with code 2 before it has opened anything.
- ``logs``: JSON lines on stderr with an ``event`` key: machines wait for ``listening``, people grep.
- ``telemetry``: an OpenTelemetry tracer provider. Off by default, where it still gives log lines a ``trace_id``.
- ``serving``: the gRPC server with the keep-alive that notices a frozen peer, health, reflection, signals, exit codes.

The services import this package; it imports none of them, and the SDK never imports it.
"""
