"""A task's input from the command line: `--payload JSON` for the whole, `-p key=value` for single keys. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


def build_payload(whole: str | None, pairs: Sequence[str]) -> str:
    """The JSON text to send. `pairs` are laid over `whole`; alone, `whole` is sent exactly as it was given.

    Raises ValueError, saying what would be right.
    """
    payload = _parse_object(whole) if whole is not None else {}
    if not pairs:
        return whole or ""
    payload.update(_parse_pair(pair) for pair in pairs)
    return json.dumps(payload, allow_nan=False)


def _parse_object(whole: str) -> dict[str, Any]:
    try:
        value = json.loads(whole, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("--payload is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"--payload is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise ValueError(f'--payload must be a JSON object such as {{"seconds": 5}}, not {whole[:40]!r}')  # noqa: TRY004
    return value


def _parse_pair(pair: str) -> tuple[str, Any]:
    key, separator, value = pair.partition("=")
    if not separator or not key:
        raise ValueError(f"-p {pair!r} must be key=value")
    return key, _parse_value(value)


def _parse_value(value: str) -> Any:
    """Numbers, true, false, null, lists and objects as JSON has them; everything else is the text it is."""
    try:
        return json.loads(value, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
