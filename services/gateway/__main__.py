"""`python -m services.gateway`: the gateway as a process, on uvloop."""

import uvloop

from services.gateway.server import serve
from services.gateway.settings import GatewaySettings
from services.runtime.logs import configure_logging
from services.runtime.serving import run
from services.runtime.settings import load_settings
from services.runtime.telemetry import configure_telemetry


def main() -> None:
    """Compose the process and run it until it is told to stop."""
    settings = load_settings(GatewaySettings)
    configure_logging("gateway", settings.log_level, settings.log_format)
    configure_telemetry("gateway", settings.traces)
    run(lambda: serve(settings), loop_factory=uvloop.new_event_loop)


if __name__ == "__main__":
    main()
