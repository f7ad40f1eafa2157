"""A run that is killed at any point leaves whole files, and the next run completes its work."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.knowledge_base.runs import run_sample
from tests.support.made_distributions import make_distribution
from workers.knowledge_base.files import TEMPORARY_PREFIX
from workers.knowledge_base.search_index import search
from workers.knowledge_base.sources import InstalledLibrary

REPOSITORY = Path(__file__).resolve().parents[3]
NAMES = ("ant", "bee", "cat", "dog", "eel", "fox")

#: Kills itself, without any chance to clean up, just before the n-th file would be renamed into its place.
KILLED_RUN = """
import os, pathlib, signal, sys
from tests.integration.knowledge_base.runs import run_sample
from workers.knowledge_base.sources import InstalledLibrary

site, root, renames_left = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3])
rename = pathlib.Path.replace

def replace(self, target):
    global renames_left
    renames_left -= 1
    if renames_left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return rename(self, target)

pathlib.Path.replace = replace
run_sample(root, library=InstalledLibrary([str(site)]))
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    for name in NAMES:
        make_distribution(
            folder, name, f"{name.title()} is an animal that lives in a library.", headers={"Summary": name}
        )
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, site: Path) -> dict[str, str]:
    """What a run that nobody kills writes."""
    root = tmp_path_factory.mktemp("whole") / "kb"
    run_sample(root, library=InstalledLibrary([str(site)]))
    return pages(root)


def pages(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): path.read_text() for path in root.rglob("*.md")}


# In order: while the folder is marked, while records are made, media, analyses, pages, the synthesis, the index, README.
@pytest.mark.parametrize("renames", [1, 2, 4, 10, 18, 22, 29, 33, 34, 35])
def test_a_killed_run_is_continued_by_the_next(tmp_path: Path, site: Path, whole: dict[str, str], renames: int) -> None:
    root = tmp_path / "kb"
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_RUN, str(site), str(root), str(renames)],
        cwd=REPOSITORY,
        env={"PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'sdk/python'}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    # What is there is whole: a page is the final page, a record is JSON.
    assert all(whole[path] == text for path, text in pages(root).items() if not path.startswith("general/"))
    assert all(text.startswith("---\n") and text.endswith("\n") for path, text in pages(root).items() if "/" in path)
    assert all(json.loads(path.read_text()) for path in (root / ".state").rglob("[a-z]*.json"))

    result = run_sample(root, library=InstalledLibrary([str(site)]))

    assert (result["documents"], result["items_failed"]) == (len(NAMES), 0)
    assert pages(root) == whole
    assert not list(root.rglob(f"{TEMPORARY_PREFIX}*"))
    assert [hit.name for hit in search(Path(result["index_path"]), "fox", 1)] == ["fox"]
    assert result["commit"]
