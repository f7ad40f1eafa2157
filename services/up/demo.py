"""`make demo`: one real job through the whole stack, seen live.

The job is created as a browser would, by HTTP. Its progress is shown by the `taskstate watch` command, run as a child:
what the demo shows is what a user's own terminal shows, and gRPC streams stay out of the process that starts parts.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from pathlib import Path
from typing import Any

from rich.markup import escape

from services.up.account import launch_command
from services.up.gateway_client import GatewayClient
from services.up.process_end import end_of
from services.up.screen import Screen, shown_path
from services.up.settings import CHECKOUT
from services.up.stack import Stack

_FOLLOW = "import sys; from taskstate.cli import main; sys.exit(main())"
_LOOK_AGAIN_S = 0.5
_LEAVE_TIMEOUT_S = 5.0


class Demo:
    """One run of the knowledge-base job. `succeeded` is known after `run()`."""

    def __init__(self, stack: Stack, screen: Screen, preferences: dict[str, Any]) -> None:
        self._stack = stack
        self._screen = screen
        self._preferences = preferences
        self._client = GatewayClient(stack.addresses.host, stack.addresses.http_port)
        self.succeeded = False

    async def run(self) -> None:
        """Create the task, show its progress to its end, and tell how it ended."""
        task_id = await asyncio.to_thread(self._client.start_agent, self._preferences)
        gateway = self._stack.addresses.http
        self._screen.say(f"[dim]POST {gateway}/api/v2/agent/start  ->  task {task_id}[/dim]")
        self._screen.hold_notices()
        try:
            await self._follow(task_id)
        finally:
            self._screen.show_notices()
        self.tell(await self._ended(task_id))

    async def _follow(self, task_id: str) -> None:
        """Run `taskstate watch` on our terminal. Its exit code says nothing that the task does not."""
        view = self._start_view(task_id)
        ended = end_of(view.pid)
        try:
            await ended.wait()
        finally:
            if not ended.is_set():
                # It gives the terminal its cursor back.
                view.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                view.wait(_LEAVE_TIMEOUT_S)
            view.kill()
            view.wait()

    def _start_view(self, task_id: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", _FOLLOW, "watch", task_id, "--target", self._stack.addresses.grpc]
        # A group of its own, as for the parts: on Ctrl-C the stack stops, and the view must not promise otherwise.
        return subprocess.Popen(launch_command(command, None), cwd=CHECKOUT, stdin=subprocess.DEVNULL, process_group=0)

    async def _ended(self, task_id: str) -> dict[str, Any]:
        """The ended task. The view ends with the task; should it have failed instead, ask until it is over."""
        while True:
            task = await asyncio.to_thread(self._client.task, task_id)
            if not task["is_active"]:
                return task
            await asyncio.sleep(_LOOK_AGAIN_S)

    def tell(self, task: dict[str, Any]) -> None:
        """Show how the task ended, and keep whether that is a success."""
        self.succeeded = task["state"] == "succeeded"
        say, gateway = self._screen.say, self._stack.addresses.http
        seconds = task.get("execution_duration")
        took = f" in {seconds:.1f} s" if isinstance(seconds, int | float) else ""
        items = f"{task.get('items_processed') or 0:,} items, {task.get('items_failed') or 0:,} failed"
        if self.succeeded:
            say(f"\n[bold green]The job succeeded[/bold green]{took}: {items}.")
        else:
            error = task.get("error") or {}
            cause = error.get("message") or task.get("message") or task.get("reason") or "no cause given"
            say(f"\n[bold red]The job ended as {escape(task['state'])}[/bold red]{took}: {escape(str(cause))}")
        result = task.get("result")
        written = result.get("output_dir") if isinstance(result, dict) else None
        if written:
            say(f"  knowledge base  [cyan]{escape(shown_path(Path(written)))}[/cyan]")
        say(f"  history         [cyan]{gateway}/api/v2/jobs/history[/cyan]")
        say(f"  this task       [cyan]{gateway}/api/v2/tasks/{task['task_id']}[/cyan]")
        say(f"  dashboard       [cyan]{gateway}/[/cyan]")
