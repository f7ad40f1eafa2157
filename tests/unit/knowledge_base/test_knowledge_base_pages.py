"""The pages: readable, honest, and safe whatever the metadata says."""

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.knowledge_base.documents import record
from workers.knowledge_base import item_page, page, readme, synthesis
from workers.knowledge_base.categories import BY_ID
from workers.knowledge_base.model import Analysis, MediaItem, ModuleDoc, Record
from workers.knowledge_base.record_store import from_json, to_json
from workers.knowledge_base.shelf import Shelf

HOSTILE = "<script>alert(1)</script> [x](javascript:y) | `a` \n# b \u2028 ---"


def analysed(slug: str, category: str = "web", **fields: object) -> Record:
    analysis = Analysis(
        model="extractive-1",
        method="extractive",
        sentences=(f"{slug} is a thing of its own.",),
        keywords=("thing",),
        category=category,
        category_evidence=("name: thing",),
        vector={"thing": 0.8, slug: 0.6},
    )
    return replace(record(slug, **fields), analysis=analysis)


def test_an_item_page_tells_what_why_and_where_to_go() -> None:
    one = analysed("one", summary="The first.", requires=("two", "elsewhere"), license="MIT")
    two = analysed("two", "testing", summary="The second.")
    text = item_page.render(one, Shelf([one, two]))
    assert "# one" in text
    assert "> The first." in text
    assert "This summary is extractive" in text
    assert "| Category | [Web and HTTP](README.md) (name: thing) |" in text
    assert "| Needs | [two](../testing/two.md) |" in text
    assert "1 distribution outside this knowledge base" in text
    assert "- [two](../testing/two.md): The second." in text


def test_front_matter_is_yaml_that_nothing_breaks_out_of() -> None:
    text = item_page.render(analysed("one", summary='"\n---\nevil: true', license=HOSTILE), Shelf([]))
    header = text.split("\n---\n", 1)[0].splitlines()[1:]
    values = {line.partition(": ")[0]: json.loads(line.partition(": ")[2]) for line in header}
    assert values["summary"] == '"\n---\nevil: true'
    assert values["summary_method"] == "extractive"
    assert "evil" not in values


def test_hostile_text_stays_text_on_every_page() -> None:
    media = (
        MediaItem(kind="unsafe", url="javascript:x", label="x"),
        MediaItem(kind="other", url="https://a b)<c", label=HOSTILE),
    )
    fields = {
        "name": HOSTILE,
        "version": HOSTILE,
        "summary": HOSTILE,
        "license": HOSTILE,
        "description": f"# {HOSTILE}\n\ntext",
    }
    one = replace(
        analysed("one", **fields, module_docs=(ModuleDoc(name="m", kind="module", text=HOSTILE),)), media=media
    )
    shelf = Shelf([one, analysed("two", summary=HOSTILE)])
    for text in (
        item_page.render(one, shelf),
        synthesis.render(BY_ID["web"], shelf.records, shelf),
        readme.render_readme(shelf),
        readme.render_index(shelf),
    ):
        body = text.split("\n---\n", 1)[-1]
        assert not re.search(r"(?<!\\)<", body)
        assert not re.search(r"(?<!\\)\]\((?!https?:|\.\./|[A-Za-z0-9./-]+\.md\))", body)
        assert "\u2028" not in text


def test_a_page_without_the_language_step_says_so() -> None:
    assert "the language step was skipped" in item_page.render(record("one"), Shelf([]))


def test_a_synthesis_names_shared_terms_relations_and_licences() -> None:
    records = [
        analysed("one", requires=("two",), summary="One thing."),
        analysed("two", license="BSD", description="Things for everybody."),
    ]
    text = synthesis.render(BY_ID["web"], records, Shelf(records))
    assert "- **thing**: [one](one.md), [two](two.md)" in text
    assert "[one](one.md) needs [two](two.md)." in text
    assert "use much the same terms (0.64 of 1)" in text
    assert "**Licences:** BSD (1), MIT (1)" in text


def test_the_top_pages_list_everything_and_carry_no_time() -> None:
    records = [analysed("one"), analysed("two", "testing", requires=("one",))]
    shelf = Shelf(records)
    assert "| [Testing](testing/README.md) | 1 | [two](testing/two.md) |" in readme.render_readme(shelf)
    assert "[one](web/one.md)" in readme.render_index(shelf)
    assert readme.render_readme(shelf) == readme.render_readme(Shelf(reversed(records)))
    assert "What 0 installed distributions" in readme.render_readme(Shelf([]))


@given(st.text(max_size=80))
def test_escaped_text_is_one_line_without_markup(text: str) -> None:
    escaped = page.escape(text)
    assert len(escaped.splitlines()) <= 1
    assert not re.search(r"(?<!\\)(?:\\\\)*[<>|`\[\]]", escaped)


@pytest.mark.parametrize("url", ["javascript:x", "data:x", "//host/x", "relative", "http://[x", ""])
def test_only_addresses_that_are_safe_become_links(url: str) -> None:
    assert page.safe_url(url) is None
    assert "](" not in page.link("label", url)


def test_a_link_cannot_be_left_by_its_address() -> None:
    assert page.link("a", "https://h.example/x)y<z> w") == "[a](https://h.example/x%29y%3Cz%3E%20w)"


@pytest.mark.parametrize(
    ("text", "expected"), [("0.1.2", "0.1.2"), ("1. one", "1\\. one"), ("snake_case", "snake_case")]
)
def test_versions_and_names_stay_readable(text: str, expected: str) -> None:
    assert page.escape(text) == expected


def test_counts_read_well() -> None:
    assert [page.plural(1, "file"), page.plural(0, "file"), page.plural(2, "category")] == [
        "1 file",
        "0 files",
        "2 categories",
    ]


def test_a_record_survives_its_way_to_disk() -> None:
    one = analysed("one", keywords=("a",), module_docs=(ModuleDoc(name="m", kind="class", text="t"),))
    assert from_json(json.loads(json.dumps(to_json(one)))) == one
    with pytest.raises(ValueError, match="layout"):
        from_json({"layout": 99})
