"""The repository of the knowledge base: its own, and nobody else's business."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.integration.knowledge_base.runs import run_sample
from tests.support.made_distributions import make_distribution
from tests.support.recording_context import RecordingContext
from workers.knowledge_base.git_repository import GitError, GitRepository, find_git
from workers.knowledge_base.sources import InstalledLibrary


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def library(tmp_path: Path) -> InstalledLibrary:
    make_distribution(tmp_path / "site", "ant")
    return InstalledLibrary([str(tmp_path / "site")])


def test_without_git_the_phase_is_skipped_with_its_reason(tmp_path: Path, library: InstalledLibrary) -> None:
    context = RecordingContext()
    root = tmp_path / "kb"
    result = run_sample(root, context, library=library, environment={"PATH": str(tmp_path / "nowhere")})
    assert context.states()["git_sync"] == "skipped"
    assert context.reason("git_sync") == "git is not on PATH"
    assert (result["commit"], result["documents"]) == (None, 1)
    assert result["phases"]["git_sync"] == {"skipped": "git is not on PATH"}
    assert not (root / ".git").exists()
    assert run_sample(root, library=library)["commit"]


def test_a_commit_holds_the_pages_and_nothing_that_can_be_made_again(tmp_path: Path, library: InstalledLibrary) -> None:
    root = tmp_path / "kb"
    result = run_sample(root, library=library)
    assert git(root, "rev-parse", "HEAD").strip() == result["commit"]
    tracked = git(root, "ls-files").split()
    assert tracked == [".gitignore", "README.md", "general/README.md", "general/ant.md", "index.md"]
    assert git(root, "status", "--porcelain") == ""
    assert git(root, "log", "-1", "--format=%an <%ae> %s").strip() == (
        "taskstate run_agent <run_agent@taskstate.invalid> Update the knowledge base: 1 document"
    )


def test_an_outer_repository_and_the_users_configuration_are_left_alone(
    tmp_path: Path, library: InstalledLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, outer = tmp_path / "home", tmp_path / "outer"
    home.mkdir()
    hooks = home / "hooks"
    hooks.mkdir()
    (hooks / "pre-commit").write_text("#!/bin/sh\ntouch $HOME/hook-ran\nexit 1\n")
    (hooks / "pre-commit").chmod(0o755)
    configuration = f"[core]\n\thooksPath = {hooks}\n[commit]\n\tgpgSign = true\n[user]\n\tname = Somebody\n"
    (home / ".gitconfig").write_text(configuration)
    outer.mkdir()
    subprocess.run(["git", "init", "-q", str(outer)], check=True, capture_output=True)
    before = sorted(str(path) for path in (outer / ".git").rglob("*"))
    monkeypatch.setenv("HOME", str(home))
    # As when the worker was started from a git hook of the outer repository.
    monkeypatch.setenv("GIT_DIR", str(outer / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(outer / ".git" / "index"))
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Somebody")

    result = run_sample(outer / "kb", library=library)

    assert result["commit"]
    assert sorted(str(path) for path in (outer / ".git").rglob("*")) == before
    assert (home / ".gitconfig").read_text() == configuration
    assert not (home / "hook-ran").exists()


def test_what_a_killed_run_left_locked_is_freed(tmp_path: Path, library: InstalledLibrary) -> None:
    root = tmp_path / "kb"
    run_sample(root, library=library)
    make_distribution(tmp_path / "site", "bee")
    (root / ".git" / "index.lock").touch()
    with pytest.raises(GitError, match=r"index\.lock"):
        run_sample(root, library=library)
    # The run above left the mark that a killed one would have left.
    assert run_sample(root, library=library)["commit"]
    assert not (root / ".git" / "index.lock").exists()


def test_a_folder_that_belongs_to_another_repository_is_not_committed_to(
    tmp_path: Path, library: InstalledLibrary
) -> None:
    root = tmp_path / "kb"
    run_sample(root, library=library, skip_git_sync=True)
    (root / ".git").write_text("gitdir: /elsewhere\n")
    context = RecordingContext()
    run_sample(root, context, library=library)
    assert "belongs to another git repository" in context.reason("git_sync")


def test_a_git_that_fails_is_an_error_with_its_words(tmp_path: Path) -> None:
    fake = tmp_path / "git"
    fake.write_text("#!/bin/sh\necho 'disk full' >&2\nexit 128\n")
    fake.chmod(0o755)
    assert find_git({"PATH": str(tmp_path)}) == str(fake)
    root = tmp_path / "kb"
    root.mkdir()
    with pytest.raises(GitError, match="git init ended with 128: disk full"):
        GitRepository(root, str(fake), os.environ).commit_all("message")
    with pytest.raises(GitError, match="git init"):
        GitRepository(root, str(tmp_path / "gone"), os.environ).commit_all("message")
