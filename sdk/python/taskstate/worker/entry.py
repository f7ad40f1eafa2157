"""The one function that queue messages name, for RQ's eyes.

A message is its id, and nothing else of it is ever read: a taskstate RQ worker does not call this function. It exists so
that a plain RQ worker, started on our queue by mistake, fails with a sentence that says what to start instead.
"""

from __future__ import annotations

from typing import NoReturn


def run() -> NoReturn:
    """Raises RuntimeError, always."""
    raise RuntimeError(
        "this queue's messages are for taskstate's workers; start `taskstate worker` instead of `rq worker`"
    )
