"""The preferences of a run: what a client may ask for, checked as a whole before anything is touched.

A client may use the agent run's old names (`skip_fetch_bookmarks`, `force_recache_tweets`) or the neutral ones; the
table in `docs/knowledge-base.md` lists both. Values come from JSON or from `-p key=value` on a command line, so
`true`, `"true"` and `"1"` mean the same.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: Which phases a mode runs beside `initialization`. What a mode leaves out is shown as skipped.
RUN_MODES: dict[str, frozenset[str]] = {
    "full": frozenset({"fetch", "content_processing", "synthesis", "embeddings", "readme", "git_sync"}),
    "fetch": frozenset({"fetch", "content_processing"}),
    "synthesis": frozenset({"synthesis", "readme"}),
    "embeddings": frozenset({"embeddings"}),
    "readme": frozenset({"readme"}),
    "git_sync": frozenset({"git_sync"}),
}

_RUN_MODE_ALIASES = {
    "full_pipeline": "full",
    "fetch_only": "fetch",
    "synthesis_only": "synthesis",
    "embedding_only": "embeddings",
    "embeddings_only": "embeddings",
    "readme_only": "readme",
    "git_sync_only": "git_sync",
}

#: The agent run's names and the neutral names they stand for.
ALIASES: dict[str, str] = {
    "skip_fetch_bookmarks": "skip_fetch",
    "skip_process_content": "skip_content_processing",
    "skip_synthesis_generation": "skip_synthesis",
    "skip_embedding_generation": "skip_embeddings",
    "skip_readme_generation": "skip_readme",
    "skip_git_push": "skip_git_sync",
    "force_recache_tweets": "force_cache",
    "force_reprocess_content": "force",
    "force_reprocess_media": "force_media",
    "force_reprocess_llm": "force_llm",
    "force_reprocess_kb_item": "force_kb_item",
    "force_regenerate_synthesis": "force_synthesis",
    "force_regenerate_embeddings": "force_embeddings",
    "force_regenerate_readme": "force_readme",
}

#: Most distributions named in `include`.
INCLUDE_MAX = 1_000


class PreferencesError(ValueError):
    """One or more preferences are not usable. `problems` maps each to what would be right."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        self.problems = dict(problems)
        super().__init__("; ".join(f"{name}: {problem}" for name, problem in self.problems.items()))


@dataclass(frozen=True, kw_only=True)
class Preferences:
    """What this run does. The defaults are a full run over every installed distribution."""

    run_mode: str = "full"
    #: Folder to write into; None takes the one from the environment.
    output_dir: Path | None = None
    #: Only these distributions; empty means all.
    include: tuple[str, ...] = ()
    #: At most so many distributions, in alphabetical order; 0 means all.
    limit: int = 0

    #: Do not look at what is installed; work on what an earlier run has read.
    skip_fetch: bool = False
    skip_content_processing: bool = False
    skip_media: bool = False
    skip_llm: bool = False
    skip_synthesis: bool = False
    skip_embeddings: bool = False
    skip_readme: bool = False
    skip_git_sync: bool = False
    #: Leave the docstrings of the modules out: a much faster, shallower run.
    skip_docstrings: bool = False

    #: Do every step again.
    force: bool = False
    force_cache: bool = False
    force_media: bool = False
    force_llm: bool = False
    force_kb_item: bool = False
    force_synthesis: bool = False
    force_embeddings: bool = False
    force_readme: bool = False

    def forced(self, step: str) -> bool:
        """Whether `step` (for example `media`) is to be done again although nothing changed."""
        return self.force or bool(getattr(self, f"force_{step}"))

    def skip_reason(self, phase: str) -> str | None:
        """Why the phase is not to run, in words; None if it is to run."""
        if phase not in RUN_MODES[self.run_mode]:
            return f"not part of run mode {self.run_mode}"
        return f"skip_{phase} is set" if getattr(self, f"skip_{phase}") else None

    @property
    def selective(self) -> bool:
        """Whether the run looks at a part of the installed distributions only."""
        return bool(self.include) or self.limit > 0


def parse_preferences(payload: object) -> tuple[Preferences, tuple[str, ...]]:
    """Preferences from a task's payload, and the keys that mean nothing here (ignored; worth a log line).

    Raises PreferencesError that names every problem, not only the first.
    """
    if not isinstance(payload, dict):
        raise PreferencesError({"preferences": "must be an object"})
    known = {each.name for each in fields(Preferences)}
    values: dict[str, Any] = {}
    problems: dict[str, str] = {}
    unknown: list[str] = []
    for key, value in payload.items():
        name = ALIASES.get(str(key), str(key))
        if name not in known:
            unknown.append(str(key))
            continue
        if value is None:
            continue
        try:
            parsed = _parser(name)(value)
        except ValueError as error:
            problems[str(key)] = str(error)
            continue
        if name in values and values[name] != parsed:
            problems[str(key)] = f"contradicts another name of the same preference ({name})"
        values[name] = parsed
    if problems:
        raise PreferencesError(problems)
    return Preferences(**values), tuple(unknown)


def _parser(name: str) -> Callable[[object], object]:
    special: dict[str, Callable[[object], object]] = {
        "run_mode": _run_mode,
        "output_dir": _folder,
        "include": _names,
        "limit": _count,
    }
    return special.get(name, _flag)


def _flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower() if isinstance(value, str | int) else ""
    if text in {"true", "yes", "on", "1"}:
        return True
    if text in {"false", "no", "off", "0"}:
        return False
    raise ValueError("must be true or false")


def _run_mode(value: object) -> str:
    mode = str(value).strip().lower() if isinstance(value, str) else ""
    mode = _RUN_MODE_ALIASES.get(mode, mode)
    if mode not in RUN_MODES:
        raise ValueError(f"must be one of {', '.join(RUN_MODES)}")
    return mode


def _folder(value: object) -> Path:
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise ValueError("must be the path of a folder")
    try:
        return Path(value.strip()).expanduser()
    except RuntimeError:
        raise ValueError("must be the path of a folder; there is no such user") from None


def _names(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [part for part in value.replace(",", " ").split() if part]
    if not isinstance(value, list) or not all(isinstance(each, str) and each for each in value):
        raise ValueError("must be a list of distribution names, or one string with commas between them")
    if len(value) > INCLUDE_MAX:
        raise ValueError(f"must not name more than {INCLUDE_MAX} distributions")
    return tuple(value)


def _count(value: object) -> int:
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if not text.strip().isdecimal() or len(text) > 6:
        raise ValueError("must be a whole number, 0 or more")
    return int(text)
