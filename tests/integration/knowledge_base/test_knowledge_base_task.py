"""The registered task: what the worker imports, and what it gets."""

import subprocess
import sys
from pathlib import Path

import pytest
from taskstate import Fatal, TaskContext
from taskstate.task import find_task

import workers.knowledge_base
from workers.knowledge_base.pipeline import PHASES
from workers.knowledge_base.workspace import Workspace


def test_the_type_declares_its_queue_and_its_phases() -> None:
    definition = find_task("run_agent")
    assert definition is not None
    assert definition.function is workers.knowledge_base.run_agent
    assert (definition.queue, definition.timeout_s, definition.max_attempts) == ("agent", 3600, 1)
    assert tuple((phase.id, phase.name) for phase in definition.phases) == PHASES
    assert [phase_id for phase_id, _ in PHASES if "." not in phase_id] == [
        "initialization", "fetch", "content_processing", "synthesis", "embeddings", "readme", "git_sync",
    ]  # fmt: skip


def test_the_function_runs_with_the_real_context(tmp_path: Path) -> None:
    definition = find_task("run_agent")
    assert definition is not None
    payload = {"output_dir": str(tmp_path / "kb"), "include": ["iniconfig"], "skip_git_push": True}
    context = TaskContext(payload=payload, declared_phases=definition.phases)
    result = definition.function(context)
    assert result["documents"] == 1
    assert result["phases"]["git_sync"] == {"skipped": "skip_git_sync is set"}
    assert Workspace(tmp_path / "kb").search_index.is_file()


def test_wrong_preferences_are_not_tried_again(tmp_path: Path) -> None:
    context = TaskContext(payload={"output_dir": str(tmp_path / "kb"), "limit": "many", "force": "perhaps"})
    with pytest.raises(Fatal, match=r"limit: must be a whole number, 0 or more; force: must be true or false"):
        workers.knowledge_base.run_agent(context)


def test_what_the_worker_imports_never_imports_grpc() -> None:
    code = "import sys, workers.knowledge_base; sys.exit('grpc' in sys.modules or 'sqlalchemy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).resolve().parents[3], check=True, timeout=60)
