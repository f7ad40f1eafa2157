"""`python -m services.up`: run the whole stack on this machine until Ctrl-C. See the package's docstring.

Exit codes: 0 stopped as asked (with --demo --once: the job succeeded), 1 the demo's job ended badly, 2 wrong usage or
settings, 4 refused (data folder in use or unwritable, port in use), 5 something needed is missing or did not get
ready, 130 interrupted before the job of --demo --once had ended.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

from services.runtime.settings import load_settings
from services.up.data_folder import open_data_folder
from services.up.demo import Demo
from services.up.make_watch import wait_until_parent_gives_up
from services.up.problem import JOB_FAILED, STOPPED, CannotStartError
from services.up.screen import Screen
from services.up.settings import UpSettings
from services.up.stack import Stack

_INTERRUPTED = 130
# make passes SIGTERM on to us while the group gets it as well: only a Ctrl-C clearly after the first one means "hurry".
_HURRY_AFTER_S = 1.0


def arguments(words: Sequence[str]) -> argparse.Namespace:
    """Parse the command line; wrong usage exits with code 2."""
    parser = argparse.ArgumentParser(prog="taskstate up", description="Run the whole stack on this machine.")
    parser.add_argument("--demo", action="store_true", help="run the knowledge-base job and show its progress")
    parser.add_argument("--once", action="store_true", help="with --demo: stop everything when the job has ended")
    parser.add_argument(
        "--preferences", type=_object, default={}, metavar="JSON", help='preferences of the job, as {"limit": 5}'
    )
    parser.add_argument("--data-dir", type=Path, metavar="FOLDER", help="where all data is kept [.taskstate]")
    parser.add_argument("--json", action="store_true", help="say on one line of JSON what runs where")
    # For our Makefile alone: see make_watch.py.
    parser.add_argument("--stop-with-make", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    if (options.once or options.preferences) and not options.demo:
        parser.error("--once and --preferences go with --demo")
    return options


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError("not a JSON object")
    return value


class StopRequest:
    """Set by SIGINT, SIGTERM, SIGHUP or the end of make; a second Ctrl-C cuts all graces short."""

    def __init__(self, hurry: asyncio.Event) -> None:
        self.event = asyncio.Event()
        self._hurry = hurry
        self._first = 0.0
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._on_signal, number)

    def _on_signal(self, number: signal.Signals) -> None:
        if not self.event.is_set():
            self._first = time.monotonic()
            self.event.set()
        elif number == signal.SIGINT and time.monotonic() - self._first > _HURRY_AFTER_S:
            self._hurry.set()

    async def follow_make(self) -> None:
        """Stop when the make that started us gives up."""
        await wait_until_parent_gives_up(os.getppid())
        self.event.set()


async def serve(settings: UpSettings, options: argparse.Namespace, screen: Screen) -> int:
    """Start everything, run the demo if asked, serve until told to stop, stop everything. Returns the exit code."""
    folder = open_data_folder(settings.data_dir)
    try:
        stack = Stack(settings, folder, screen.notice)
        stop = StopRequest(stack.hurry)
        helpers = [asyncio.create_task(stop.follow_make())] if options.stop_with_make else []
        await stack.prepare()
        screen.starting(folder.path, folder.servers)
        try:
            return await _run(stack, stop, options, screen)
        finally:
            screen.say("[dim]Stopping …[/dim]")
            await stack.stop()
            for helper in helpers:
                helper.cancel()
            screen.say("[dim]Stopped.[/dim]")
    finally:
        folder.close()


async def _run(stack: Stack, stop: StopRequest, options: argparse.Namespace, screen: Screen) -> int:
    if not await _unless_stopped(stop, stack.start()):
        return _INTERRUPTED if options.once else STOPPED
    screen.ready(stack.addresses, stack.folder.path, stack.queues, stack.servers)
    if not options.demo:
        await stop.event.wait()
        return STOPPED
    demo = Demo(stack, screen, options.preferences)
    ended = await _unless_stopped(stop, demo.run())
    if ended and not options.once:
        screen.say(f"Serving on [cyan]{stack.addresses.http}[/cyan] until Ctrl-C.")
        await stop.event.wait()
    if not ended:
        return _INTERRUPTED if options.once else STOPPED
    return STOPPED if demo.succeeded else JOB_FAILED


async def _unless_stopped(stop: StopRequest, step: Coroutine[None, None, None]) -> bool:
    """Run a step to its end, or cancel it when a stop is asked for; whether it came to its end."""
    task = asyncio.create_task(step)
    stopped = asyncio.create_task(stop.event.wait())
    await asyncio.wait([task, stopped], return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if task.done():
        task.result()
        return True
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    return False


def main(words: Sequence[str] | None = None) -> int:
    """The process's entry; returns the exit code."""
    options = arguments(sys.argv[1:] if words is None else words)
    settings = load_settings(UpSettings)
    if options.data_dir is not None:
        settings = settings.model_copy(update={"data_dir": options.data_dir})
    screen = Screen(options.json)
    try:
        return asyncio.run(serve(settings, options, screen))
    except CannotStartError as problem:
        screen.problem(str(problem))
        return problem.exit_code
    except KeyboardInterrupt:
        # Ctrl-C before the signal handlers were in place: nothing has been started.
        return _INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
