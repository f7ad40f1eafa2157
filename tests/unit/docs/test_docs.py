"""The documents say what is there: every link leads somewhere, every dependency has its reason."""

import re
import tomllib
from itertools import chain
from pathlib import Path

import pytest

from scripts import settings_page

ROOT = Path(__file__).resolve().parents[3]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("**/*.md")])
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def anchors(document: Path) -> set[str]:
    """The anchors of a document's headings, as the usual Markdown hosts make them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(document):
    for link in LINK.findall(document.read_text()):
        if link.startswith(("http://", "https://")):
            continue
        name, _, anchor = link.partition("#")
        target = (document.parent / name).resolve() if name else document
        assert target.exists(), f"{document.name}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{document.name}: {link}"


def test_the_settings_page_is_what_the_code_says():
    # If this fails: python -m scripts.settings_page
    assert settings_page.PAGE.read_text() == settings_page.page()


def test_every_direct_dependency_has_its_reason_and_no_other_has():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = chain(project["dependencies"], *project["optional-dependencies"].values())
    names = {re.split(r"[\s<>=!;\[]", requirement, maxsplit=1)[0] for requirement in declared}
    rows = [row for row in (ROOT / "docs/dependencies.md").read_text().splitlines() if row.startswith("| `")]
    documented = {name for row in rows for name in re.findall(r"`([\w.-]+)`", row.split("|")[1])}
    assert documented == names
