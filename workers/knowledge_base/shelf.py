"""Looking at all records together: which page is where, what is related, what each category holds."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from workers.knowledge_base import names
from workers.knowledge_base.categories import CATEGORIES, Category
from workers.knowledge_base.language import similarity, unanalysed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workers.knowledge_base.model import Analysis, Record

#: Below this cosine two documents only happen to share words.
_RELATED_MIN = 0.05
_RELATED_MAX = 5


class Shelf:
    """An unchanging view of the knowledge base's records, with the answers that need more than one of them."""

    def __init__(self, records: Iterable[Record]) -> None:
        self.records = sorted(records, key=lambda record: (record.document.name.lower(), record.slug))
        self._by_name = {names.canonical(record.document.name): record for record in self.records}

    def analysis(self, record: Record) -> Analysis:
        """The record's analysis; the metadata alone where the language step was skipped."""
        return record.analysis or unanalysed(record.document)

    def path(self, record: Record) -> str:
        """Where the record's page belongs, relative to the output folder."""
        return f"{self.analysis(record).category}/{record.slug}.md"

    def related(self, record: Record) -> list[Record]:
        """The documents whose terms are nearest to this one's, nearest first."""
        own = self.analysis(record).vector
        scored = [
            (similarity(own, self.analysis(other).vector), other) for other in self.records if other.slug != record.slug
        ]
        near = [(score, other) for score, other in scored if score >= _RELATED_MIN]
        near.sort(key=lambda each: (-each[0], each[1].slug))
        return [other for _, other in near[:_RELATED_MAX]]

    def required(self, record: Record) -> list[Record]:
        """The documents of this knowledge base that the distribution needs, in the order in which it names them."""
        return [self._by_name[name] for name in record.document.requires if name in self._by_name]

    def required_by(self, record: Record) -> list[Record]:
        """The documents of this knowledge base whose distributions need this one."""
        name = names.canonical(record.document.name)
        return [other for other in self.records if name in other.document.requires]

    def by_category(self) -> list[tuple[Category, list[Record]]]:
        """The categories that hold something, in their own order, with their records."""
        held: dict[str, list[Record]] = defaultdict(list)
        for record in self.records:
            held[self.analysis(record).category].append(record)
        return [(category, held[category.id]) for category in CATEGORIES if held[category.id]]
