"""Preferences: both sets of names, every problem at once."""

from dataclasses import fields
from pathlib import Path

import pytest

from workers.knowledge_base.preferences import ALIASES, Preferences, PreferencesError, parse_preferences


def parsed(**payload: object) -> Preferences:
    preferences, unknown = parse_preferences(payload)
    assert unknown == ()
    return preferences


def test_no_preferences_mean_a_full_run() -> None:
    assert parsed() == Preferences()
    assert parsed().skip_reason("fetch") is None


def test_the_names_of_the_agent_run_mean_what_they_meant() -> None:
    preferences = parsed(run_mode="full", skip_fetch_bookmarks=False, force_recache_tweets=True)
    assert preferences == Preferences(force_cache=True)
    known = {field.name for field in fields(Preferences)}
    assert set(ALIASES.values()) <= known
    for old, new in ALIASES.items():
        assert getattr(parsed(**{old: True}), new) is True


@pytest.mark.parametrize("value", [True, "true", "Yes", "1", 1, "on"])
def test_flags_may_come_from_a_command_line(value: object) -> None:
    assert parsed(skip_media=value).skip_media


@pytest.mark.parametrize(("mode", "runs", "leaves_out"), [
    ("full_pipeline", "fetch", None),
    ("fetch_only", "content_processing", "synthesis"),
    ("embedding_only", "embeddings", "fetch"),
    ("git_sync", "git_sync", "readme"),
])  # fmt: skip
def test_a_run_mode_chooses_phases(mode: str, runs: str, leaves_out: str | None) -> None:
    preferences = parsed(run_mode=mode)
    assert preferences.skip_reason(runs) is None
    assert leaves_out is None or preferences.skip_reason(leaves_out) == f"not part of run mode {preferences.run_mode}"


def test_a_skipped_phase_names_its_flag_and_force_means_every_step() -> None:
    assert parsed(skip_git_push=True).skip_reason("git_sync") == "skip_git_sync is set"
    assert all(parsed(force=True).forced(step) for step in ("cache", "media", "llm", "kb_item", "synthesis"))
    assert parsed(force_llm=True).forced("llm")
    assert not parsed(force_llm=True).forced("media")


def test_lists_counts_and_folders() -> None:
    preferences = parsed(include="rich, rq typer", limit="5", output_dir="/tmp/kb")
    assert preferences.include == ("rich", "rq", "typer")
    assert preferences.limit == 5
    assert preferences.output_dir == Path("/tmp/kb")
    assert parsed(include=["rq"], limit=None).include == ("rq",)


def test_every_problem_is_told_at_once() -> None:
    payload = {
        "run_mode": "sideways",
        "limit": -1,
        "skip_media": "perhaps",
        "output_dir": "",
        "include": [1],
        "force": [],
    }
    with pytest.raises(PreferencesError) as caught:
        parse_preferences(payload)
    assert caught.value.problems.keys() == payload.keys()
    assert "run_mode: must be one of full, fetch" in str(caught.value)
    assert "limit: must be a whole number" in str(caught.value)


def test_two_names_of_one_preference_must_agree() -> None:
    assert parsed(skip_fetch=True, skip_fetch_bookmarks="true").skip_fetch
    with pytest.raises(PreferencesError, match="contradicts another name"):
        parse_preferences({"skip_fetch": True, "skip_fetch_bookmarks": False})


def test_unknown_keys_are_ignored_but_told() -> None:
    assert parse_preferences({"colour": "red"}) == (Preferences(), ("colour",))
    with pytest.raises(PreferencesError, match="must be an object"):
        parse_preferences(["skip_fetch"])


@pytest.mark.parametrize("value", ["²", "1e3", 1.5, True, "9" * 30])
def test_a_limit_that_is_no_count_is_refused(value: object) -> None:
    with pytest.raises(PreferencesError, match="limit"):
        parse_preferences({"limit": value})


@pytest.mark.parametrize("value", ["", " ", "a\0b", 7, "~nobody-has-this-name/kb"])
def test_an_output_folder_that_is_no_path_is_refused(value: object) -> None:
    with pytest.raises(PreferencesError, match="output_dir: must be the path of a folder"):
        parse_preferences({"output_dir": value})
