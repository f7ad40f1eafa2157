"""Whole runs: over real distributions, over hostile ones, a second time, by force, in parts, and stopped."""

import contextlib
import json
import os
import re
from pathlib import Path

import pytest

from tests.integration.knowledge_base.runs import LIGHT_SAMPLE, run_sample
from tests.support.made_distributions import make_distribution
from tests.support.recording_context import RecordingContext
from workers.knowledge_base import pipeline
from workers.knowledge_base.language import ExtractiveModel
from workers.knowledge_base.model import Analysis, Document
from workers.knowledge_base.pipeline import PHASES, EveryDocumentFailedError, NothingFetchedError
from workers.knowledge_base.preferences import PreferencesError
from workers.knowledge_base.sources import InstalledLibrary
from workers.knowledge_base.steps import RunCancelledError
from workers.knowledge_base.workspace import Workspace, WorkspaceError

STEPS = ("cache", "media", "llm", "kb_item")


def contents(root: Path) -> dict[str, str]:
    """Every published file, by its path."""
    return {str(path.relative_to(root)): path.read_text() for path in sorted(root.rglob("*.md"))}


def library_of(site: Path, *names: str) -> InstalledLibrary:
    for name in names:
        make_distribution(
            site, name, f"{name.title()} is a thing that does what it says on the tin.", headers={"Summary": name}
        )
    return InstalledLibrary([str(site)])


def test_a_run_over_a_dozen_real_distributions_then_again_then_by_force(tmp_path: Path) -> None:
    root = tmp_path / "kb"
    context = RecordingContext()
    result = run_sample(root, context, include=list(LIGHT_SAMPLE))

    assert context.states() == dict.fromkeys((phase_id for phase_id, _ in PHASES), "done")
    assert json.loads(json.dumps(result)) == result
    assert (result["documents"], result["items_failed"], sum(result["categories"].values())) == (12, 0, 12)
    assert (context.processed, context.failed) == (12, 0)
    assert all(result["phases"]["content_processing"][step]["done"] == 12 for step in STEPS)
    assert re.fullmatch(r"[0-9a-f]{40}", result["commit"])
    assert Path(result["index_path"]).is_file()
    written = contents(root)
    assert len([path for path in written if path.count("/") == 1 and not path.endswith("README.md")]) == 12
    assert result["categories"].keys() == {path.split("/")[0] for path in written if "/" in path}
    pages_linked = {match for text in written.values() for match in re.findall(r"\]\(([^):]+\.md)\)", text)}
    assert pages_linked
    for path, text in written.items():
        for target in re.findall(r"\]\(((?!https?:|mailto:)[^)]+)\)", text):
            assert (root / path).parent.joinpath(target).resolve().is_file(), f"{path} points to {target}"

    again = RecordingContext()
    second = run_sample(root, again, include=list(LIGHT_SAMPLE))
    assert all(
        second["phases"]["content_processing"][step] == {"done": 0, "unchanged": 12, "failed": 0} for step in STEPS
    )
    assert second["phases"]["embeddings"]["unchanged"] is True
    assert second["commit"] is None
    assert again.states()["git_sync"] == "skipped"
    assert again.reason("git_sync").startswith("nothing to commit")
    assert again.processed == 12
    assert contents(root) == written

    forced = run_sample(root, force=True, include=list(LIGHT_SAMPLE))
    assert all(forced["phases"]["content_processing"][step]["done"] == 12 for step in STEPS)
    assert forced["phases"]["synthesis"]["done"] == len(result["categories"])
    assert forced["phases"]["embeddings"]["unchanged"] is False
    assert contents(root) == written


def test_progress_is_that_of_the_documents(tmp_path: Path) -> None:
    context = RecordingContext()
    run_sample(tmp_path / "kb", context, library=library_of(tmp_path / "site", "ant", "bee", "cat"))
    for step in STEPS:
        reports = [report for report in context.reports if report.phase == f"content_processing.{step}"]
        assert [report.done for report in reports] == sorted(report.done for report in reports)
        assert (reports[-1].done, reports[-1].total) == (3, 3)
        assert {"ant", "bee", "cat"} <= {report.message for report in reports}
    parents = [report.done for report in context.reports if report.phase == "content_processing"]
    assert parents == [1, 2, 3, 4]


def test_each_force_flag_repeats_its_own_step_only(tmp_path: Path) -> None:
    root, library = tmp_path / "kb", library_of(tmp_path / "site", "ant", "bee")
    run_sample(root, library=library)
    for step in STEPS:
        results = run_sample(root, library=library, **{f"force_{step}": True})["phases"]["content_processing"]
        assert {name: result["done"] for name, result in results.items() if result["done"]} == {step: 2}
    assert (
        run_sample(root, library=library, force_recache_tweets=True)["phases"]["content_processing"]["cache"]["done"]
        == 2
    )


def test_hostile_distributions_fail_alone_and_stay_inside(tmp_path: Path) -> None:
    site, root = tmp_path / "site", tmp_path / "inside" / "kb"
    library = library_of(site, "good")
    make_distribution(site, "../../../escape", "Sly.", folder="sly")
    make_distribution(site, "README", "A name that is taken.", folder="taken")
    make_distribution(site, "n" * 3000, "Long.", folder="long")
    make_distribution(site, "böse", '<script>alert("x")</script> ' + "[" * 50_000, folder="boese")
    (make_distribution(site, "latin") / "METADATA").write_bytes("Name: latin\nSummary: ü\n\n\xff\xfe".encode("latin-1"))
    (make_distribution(site, "nameless") / "METADATA").write_text("Version: 1\n")
    (site / "empty-1.0.dist-info").mkdir()
    make_distribution(site, "good", "The second of this name is not the one that Python imports.", folder="zz_good")
    context = RecordingContext()

    result = run_sample(root, context, library=library)

    assert (result["documents"], result["items_failed"], context.failed) == (6, 2, 2)
    assert set(result["failures"]) == {"nameless-1.0.dist-info", "empty-1.0.dist-info"}
    assert any("nameless" in line and "no name in its metadata" in line for line in context.lines)
    assert context.states()["git_sync"] == "done"
    assert {path.name for path in tmp_path.iterdir()} == {"site", "inside"}
    assert {path.name for path in (tmp_path / "inside").iterdir()} == {"kb"}


def test_an_item_that_fails_in_the_middle_leaves_the_others(tmp_path: Path) -> None:
    class Picky(ExtractiveModel):
        name = "picky"

        def analyse(self, document: Document) -> Analysis:
            if document.name == "bee":
                raise RuntimeError("the model is down")
            return super().analyse(document)

    root, library = tmp_path / "kb", library_of(tmp_path / "site", "ant", "bee", "cat")
    context = RecordingContext()
    payload = {"output_dir": str(root)}
    result = pipeline.run(context, payload, os.environ, library=library, model=Picky())
    assert (result["documents"], result["failures"]) == (2, {"bee": "llm: RuntimeError: the model is down"})
    assert (context.processed, context.failed) == (2, 1)
    assert run_sample(root, library=library)["documents"] == 3


def test_a_run_in_which_every_document_fails_has_failed(tmp_path: Path) -> None:
    class Away(ExtractiveModel):
        name = "away"

        def analyse(self, document: Document) -> Analysis:
            raise ConnectionError(f"nobody answers for {document.name}")

    context = RecordingContext()
    library = library_of(tmp_path / "site", "ant", "bee")
    payload = {"output_dir": str(tmp_path / "kb")}
    with pytest.raises(
        EveryDocumentFailedError, match="all 2 documents failed; ant: llm: ConnectionError: nobody answers"
    ):
        pipeline.run(context, payload, os.environ, library=library, model=Away())
    assert context.states()["content_processing"] == "failed"


def test_skipped_phases_say_why_and_leave_their_files_alone(tmp_path: Path) -> None:
    root, library = tmp_path / "kb", library_of(tmp_path / "site", "ant", "bee")
    context = RecordingContext()
    flags = {"skip_media": True, "skip_llm": True, "skip_synthesis": True, "skip_embeddings": True, "skip_readme": True}
    run_sample(root, context, library=library, **flags, skip_git_sync=True)
    skipped = {phase_id for phase_id, state in context.states().items() if state == "skipped"}
    assert skipped == {
        "content_processing.media", "content_processing.llm", "synthesis", "embeddings", "readme", "git_sync",
    }  # fmt: skip
    assert context.reason("readme") == "skip_readme is set"
    assert set(contents(root)) == {"general/ant.md", "general/bee.md"}
    assert not (root / ".git").exists()

    later = RecordingContext()
    assert (
        run_sample(root, later, library=library, run_mode="synthesis_only", skip_fetch_bookmarks=True)["documents"] == 2
    )
    assert later.reason("content_processing.kb_item") == "not part of run mode synthesis"
    assert set(contents(root)) == {"general/ant.md", "general/bee.md", "general/README.md", "README.md", "index.md"}


def test_work_without_fetch_uses_what_was_read_before(tmp_path: Path) -> None:
    root, site = tmp_path / "kb", tmp_path / "site"
    with pytest.raises(NothingFetchedError, match="no earlier run has read anything"):
        run_sample(root, library=library_of(site, "ant"), skip_fetch=True)
    run_sample(root, library=InstalledLibrary([str(site)]))
    make_distribution(site, "bee")
    context = RecordingContext()
    result = run_sample(root, context, library=InstalledLibrary([str(site)]), skip_fetch=True, force_llm=True)
    assert result["documents"] == 1
    assert context.reason("content_processing.cache") == "nothing was fetched in this run"
    assert result["phases"]["content_processing"]["llm"]["done"] == 1


def test_what_changed_is_done_again_and_what_is_gone_is_removed(tmp_path: Path) -> None:
    root, site = tmp_path / "kb", tmp_path / "site"
    library = library_of(site, "ant", "bee")
    run_sample(root, library=library)
    (root / "general" / "my-notes.md").write_text("mine")
    (site / "ant-1.0.dist-info" / "METADATA").write_text(
        "Name: ant\nSummary: A web framework\n\nAn ASGI web framework."
    )
    for path in (site / "bee-1.0.dist-info").iterdir():
        path.unlink()
    (site / "bee-1.0.dist-info").rmdir()
    make_distribution(site, "cat")
    result = run_sample(root, library=library)
    assert result["phases"]["fetch"]["forgotten"] == 1
    assert result["phases"]["content_processing"]["cache"] == {"done": 2, "unchanged": 0, "failed": 0}
    assert result["categories"] == {"web": 1, "general": 1}
    assert {"web/ant.md", "general/cat.md", "general/my-notes.md"} <= contents(root).keys()
    assert not {"general/ant.md", "general/bee.md"} & contents(root).keys()


def test_a_category_that_became_empty_disappears(tmp_path: Path) -> None:
    root, site = tmp_path / "kb", tmp_path / "site"
    library = library_of(site, "ant")
    run_sample(root, library=library)
    assert (root / "general" / "README.md").is_file()
    (site / "ant-1.0.dist-info" / "METADATA").write_text("Name: ant\nSummary: A web framework\n")
    run_sample(root, library=library)
    assert not (root / "general").exists()
    assert (root / "web" / "README.md").is_file()


def test_a_part_of_the_distributions_can_be_chosen(tmp_path: Path) -> None:
    root, library = tmp_path / "kb", library_of(tmp_path / "site", "ant", "bee", "cat")
    context = RecordingContext()
    assert run_sample(root, context, library=library, include="Cat, dog")["documents"] == 1
    assert any("not installed, so not read: dog" in line for line in context.lines)
    assert run_sample(root, library=library, limit=2)["documents"] == 3


def test_a_run_can_be_cancelled_between_two_items_and_continued(tmp_path: Path) -> None:
    root, library = tmp_path / "kb", library_of(tmp_path / "site", "ant", "bee", "cat")

    def bee_is_being_read(it: RecordingContext) -> bool:
        return any(report.phase == "content_processing.cache" and report.message == "bee" for report in it.reports)

    context = RecordingContext(cancel_when=bee_is_being_read)
    with pytest.raises(RunCancelledError):
        run_sample(root, context, library=library)
    assert context.states()["content_processing.cache"] == "failed"
    assert context.failed == 0
    result = run_sample(root, library=library)
    assert result["documents"] == 3
    assert result["phases"]["content_processing"]["cache"] == {"done": 1, "unchanged": 2, "failed": 0}


def test_a_damaged_record_is_made_again(tmp_path: Path) -> None:
    root, library = tmp_path / "kb", library_of(tmp_path / "site", "ant", "bee")
    run_sample(root, library=library)
    records = Workspace(root).records
    (records / "ant.json").write_text('{"layout": 1, "slug": "ant"}')
    (records / "bee.json").write_bytes(b"\xff\x00")
    context = RecordingContext()
    assert run_sample(root, context, library=library)["phases"]["content_processing"]["cache"]["done"] == 2
    assert sum("is not readable and is made again" in line for line in context.lines) == 2


def test_bad_preferences_change_nothing(tmp_path: Path) -> None:
    context = RecordingContext()
    with pytest.raises(PreferencesError, match=r"limit: .*; run_mode: "):
        run_sample(tmp_path / "kb", context, limit=-1, run_mode="?")
    assert context.states() == {"initialization": "failed"}
    assert not (tmp_path / "kb").exists()


def test_unknown_preferences_are_logged(tmp_path: Path) -> None:
    context = RecordingContext()
    run_sample(tmp_path / "kb", context, library=library_of(tmp_path / "site", "ant"), colour="red")
    assert "unknown preferences are ignored: colour" in context.lines


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear ...")
    with pytest.raises(WorkspaceError, match="holds files that are not a knowledge base"):
        run_sample(tmp_path)
    with pytest.raises(WorkspaceError, match="is not a folder"):
        run_sample(tmp_path / "letter.txt")
    with pytest.raises(WorkspaceError, match="cannot write to the output folder"):
        run_sample(tmp_path / "letter.txt" / "below")
    with pytest.raises(WorkspaceError, match="cannot write to the output folder"):
        run_sample(tmp_path / ("x" * 300))
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_two_runs_never_write_to_one_folder(tmp_path: Path) -> None:
    root, library = tmp_path / "kb", library_of(tmp_path / "site", "ant")
    with contextlib.ExitStack() as first:
        first.enter_context(Workspace(root).opened())
        with pytest.raises(WorkspaceError, match="another run is writing"):
            run_sample(root, library=library)
    assert run_sample(root, library=library)["documents"] == 1


def test_the_output_folder_follows_the_environment(tmp_path: Path) -> None:
    library = library_of(tmp_path / "site", "ant")
    environments = {
        "named": {"TASKSTATE_KNOWLEDGE_BASE_DIR": str(tmp_path / "named")},
        "data/knowledge_base": {"TASKSTATE_DATA_DIR": str(tmp_path / "data")},
    }
    for folder, environment in environments.items():
        result = pipeline.run(RecordingContext(), {}, environment, library=library)
        assert result["output_dir"] == str(tmp_path / folder)
        assert (tmp_path / folder / "general" / "ant.md").is_file()
