"""What a person at the terminal sees of `up`: the start, the summary, warnings of the parts, the stop."""

from __future__ import annotations

import collections
import json
import os
import time
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from services.up.notice_filter import NoticeFilter
from services.up.stack import Addresses

# While the demo's progress has the terminal, notices wait; the newest that fit are shown after it.
_HELD_NOTICES_MAX = 20


class Screen:
    """Prints to standard output (what `up` does) and standard error (what is wrong). With `as_json`, one line of JSON."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self.console = Console(highlight=False, soft_wrap=True)
        self._errors = Console(stderr=True, highlight=False, soft_wrap=True)
        self._started = time.monotonic()
        self._held: collections.deque[str] | None = None
        self._notices = NoticeFilter()

    def starting(self, folder: Path, servers: Path) -> None:
        """Say that the start has begun, and where the data is if that is not where one would look."""
        if self._as_json:
            return
        self.console.print(f"[dim]Starting taskstate, data in {escape(shown_path(folder))} …[/dim]")
        if servers != folder:
            text = f"The servers' data is in {servers}, as their user cannot reach {folder}."
            self.console.print(f"[dim]{escape(text)}[/dim]")

    def ready(self, addresses: Addresses, folder: Path, queues: str, servers: dict[str, str]) -> None:
        """Show what runs where, and how to stop it."""
        if self._as_json:
            facts = {"event": "ready", "gateway": addresses.http, "grpc": addresses.grpc, "data_dir": str(folder)}
            self.console.print(json.dumps({**facts, "queues": queues, **servers}), markup=False)
            return
        took = time.monotonic() - self._started
        logs = escape(shown_path(folder / "logs"))
        self.console.print(f"\n[bold green]taskstate is up[/bold green] [dim]after {took:.1f} s[/dim]")
        self._row("gateway", addresses.http, "API documentation at /docs")
        self._row("gRPC", addresses.grpc, f"grpcurl -plaintext {addresses.grpc} list")
        self._row("workers", queues.replace(",", " "), "queues and their RQ workers")
        for name, address in sorted(servers.items()):
            self._row(name, address, "embedded")
        self._row("data", shown_path(folder), f"log files in {logs}")
        self.console.print("[dim]Ctrl-C stops all of it; the data stays.[/dim]\n")

    def _row(self, name: str, value: str, hint: str) -> None:
        self.console.print(f"  [bold]{name:<9}[/bold] [cyan]{escape(value)}[/cyan]  [dim]{hint}[/dim]")

    def notice(self, part: str, text: str) -> None:
        """Show a warning, a death or a restart of a part; later, if something else has the terminal."""
        now = time.monotonic()
        if not self._notices.admit(part, text, now):
            return
        line = f"[yellow]![/yellow] [bold]{escape(part)}[/bold]  {escape(text)}"
        if self._held is None:
            self._errors.print(line)
        else:
            self._held.append(line)

    def hold_notices(self) -> None:
        """Keep notices back until `show_notices`."""
        self._held = collections.deque(maxlen=_HELD_NOTICES_MAX)

    def show_notices(self) -> None:
        """Show the notices that were kept back, and from now on each at once."""
        held, self._held = self._held, None
        for line in held or ():
            self._errors.print(line)

    def say(self, markup: str) -> None:
        """Print one line, unless the output is JSON."""
        if not self._as_json:
            self.console.print(markup)

    def problem(self, text: str) -> None:
        """Print the one line that tells why `up` ends."""
        self._errors.print(f"[bold red]taskstate up:[/bold red] {escape(text)}")


def shown_path(path: Path) -> str:
    """Return the path as a person at this terminal would type it: relative if it lies below the current folder."""
    here = Path.cwd()
    return os.fspath(path.relative_to(here)) if path.is_relative_to(here) else os.fspath(path)
