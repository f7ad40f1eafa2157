"""File names from untrusted names: safe, bounded, and different for different documents."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.knowledge_base import files
from workers.knowledge_base.names import SLUG_LENGTH_MAX, canonical, slug, unique_slugs

_SPECIAL = st.sampled_from(
    [
        "",
        ".",
        "..",
        "../../etc/passwd",
        "/etc/passwd",
        "CON",
        "nul",
        "README",
        "index",
        "a\0b",
        "ä",
        "-",
        "x" * 5000,
        "\ud800",
    ]
)
NAMES = st.one_of(_SPECIAL, st.text(max_size=120), st.from_regex(r"[A-Za-z0-9._-]{1,90}", fullmatch=True))


@given(NAMES)
def test_a_slug_is_a_plain_bounded_file_name(name: str) -> None:
    made = slug(name)
    assert 1 <= len(made) <= SLUG_LENGTH_MAX
    assert set(made) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert made not in {"readme", "index", "con", "nul", "com1"}
    root = Path("/knowledge")
    assert files.inside(root, f"web/{made}.md").parent == root / "web"


@given(st.lists(NAMES, max_size=30))
def test_slugs_are_unique_for_names_that_differ(names: list[str]) -> None:
    slugs = unique_slugs(names)
    assert slugs.keys() == set(names)
    assert len(set(slugs.values())) == len({canonical(name) for name in names})
    for first in names:
        for second in names:
            assert (slugs[first] == slugs[second]) == (canonical(first) == canonical(second))


@pytest.mark.parametrize(("name", "expected"), [("SQLAlchemy", "sqlalchemy"), ("a_b.c--d", "a-b-c-d"), ("h11", "h11")])
def test_ordinary_names_stay_readable(name: str, expected: str) -> None:
    assert slug(name) == expected


def test_a_name_that_looks_like_a_hashed_one_keeps_its_slug() -> None:
    hashed = slug("ä")
    slugs = unique_slugs([hashed, "ä"])
    assert slugs[hashed] == hashed
    assert slugs["ä"] != hashed


@pytest.mark.parametrize("path", ["../outside.md", "web/../../outside.md", "..", "web/.."])
def test_a_path_that_leads_out_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(files.OutsideFolderError, match="leads out"):
        files.inside(tmp_path / "root", path)


def test_a_link_that_leads_out_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "web").symlink_to(tmp_path)
    with pytest.raises(files.OutsideFolderError):
        files.inside(root, "web/item.md")
