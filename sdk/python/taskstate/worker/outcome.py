"""What an attempt's last word says: its result as JSON, or its error, both within their limits."""

from __future__ import annotations

import json
import re
import traceback
from typing import Any, Final

from taskstate.task import Fatal, TaskCancelled
from taskstate.v1 import task_pb2, worker_service_pb2
from taskstate.worker.text import clean_text, fit_label, fit_text

RESULT_BYTES_MAX: Final = 512 * 1024
ERROR_BYTES_MAX: Final = 64 * 1024
ERROR_TYPE_CHARACTERS_MAX: Final = 200
ERROR_MESSAGE_BYTES_MAX: Final = 8 * 1024
TRACEBACK_BYTES_MAX: Final = ERROR_BYTES_MAX - 4 * ERROR_TYPE_CHARACTERS_MAX - ERROR_MESSAGE_BYTES_MAX
RESULT_DEPTH_MAX: Final = 16

_NUL_IN_JSON: Final = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
_CUT_IN_THE_MIDDLE: Final = "\n... cut here ...\n"


class BadResult(Exception):
    """What the task returned cannot be kept; the message says why."""


def finish_with_result(result: object) -> worker_service_pb2.FinishAttempt:
    """The last word of a task that returned; a result that cannot be kept is an error instead."""
    try:
        return worker_service_pb2.FinishAttempt(result=encode_result(result))
    except BadResult as error:
        return finish_with_error(error)


def finish_with_error(error: BaseException) -> worker_service_pb2.FinishAttempt:
    """The last word of a task that raised."""
    return worker_service_pb2.FinishAttempt(error=describe_error(error), final=isinstance(error, Fatal | TaskCancelled))


def encode_result(result: object) -> str:
    """The result as JSON text; "" for None.

    Raises BadResult for what JSON cannot hold, for more than 512 KiB or 16 levels, and for two keys that become one.
    """
    if result is None:
        return ""
    try:
        text = json.dumps(result, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise BadResult(f"the task's result is not JSON: {error}") from error
    if _depth(result) > RESULT_DEPTH_MAX:
        raise BadResult(f"the task's result is nested deeper than {RESULT_DEPTH_MAX} levels")
    text = clean_text(_NUL_IN_JSON.sub(r"\1\\u2400", text))
    size = len(text.encode())
    if size > RESULT_BYTES_MAX:
        raise BadResult(f"the task's result is {size} bytes of JSON; {RESULT_BYTES_MAX} are the most")
    try:
        # Keys are strings in JSON, so 1 and "1" become one; digits are kept as text, as a huge number is slow to read.
        json.loads(text, object_pairs_hook=_refuse_doubles, parse_int=str)
    except ValueError as error:
        raise BadResult(f"the task's result is not JSON: {error}") from error
    return text


def _depth(value: object) -> int:
    """How many levels of lists and dicts are nested; one more than the limit for anything deeper."""
    level, depth = [value], 0
    while depth <= RESULT_DEPTH_MAX:
        nests = [inner for inner in level if isinstance(inner, dict | list | tuple)]
        if not nests:
            break
        depth += 1
        level = [inner for outer in nests for inner in (outer.values() if isinstance(outer, dict) else outer)]
    return depth


def _refuse_doubles(pairs: list[tuple[str, Any]]) -> None:
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("two keys of one dict become the same text")


def describe_error(error: BaseException) -> task_pb2.TaskError:
    """The error as it is stored: 64 KiB in all, a long traceback without its middle."""
    kind = type(error)
    return task_pb2.TaskError(
        type=fit_label(f"{kind.__module__}.{kind.__qualname__}", ERROR_TYPE_CHARACTERS_MAX),
        message=fit_text(_text_of(error), ERROR_MESSAGE_BYTES_MAX),
        traceback=_without_middle(_traceback_of(error)),
    )


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as fault:  # noqa: BLE001 - an exception's own __str__ may raise anything; what it raised is told.
        return f"(its text cannot be had: {type(fault).__name__})"


def _traceback_of(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error))
    except Exception as fault:  # noqa: BLE001 - formatting calls __str__ and __repr__ of anything; what it raised is told.
        return f"(the traceback cannot be had: {type(fault).__name__})"


def _without_middle(text: str) -> str:
    """The text within the traceback's limit: how it began and how it ended are both worth more than its middle."""
    encoded = clean_text(text).encode()
    if len(encoded) <= TRACEBACK_BYTES_MAX:
        return encoded.decode()
    half = (TRACEBACK_BYTES_MAX - len(_CUT_IN_THE_MIDDLE)) // 2
    return encoded[:half].decode("utf-8", "ignore") + _CUT_IN_THE_MIDDLE + encoded[-half:].decode("utf-8", "ignore")


def parse_payload(text: str) -> dict[str, Any]:
    """The payload as a dict. Raises Fatal for what is no JSON object: another attempt would read the same."""
    try:
        payload = json.loads(text) if text else {}
    except ValueError as error:
        raise Fatal(f"the task's payload is not JSON: {error}") from error
    if not isinstance(payload, dict):
        raise Fatal(f"the task's payload is {type(payload).__name__}, not a JSON object")
    return payload
