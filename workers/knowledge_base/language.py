"""The language step: what a document is about, in a few sentences, some keywords and a category.

`LanguageModel` is all the pipeline knows, so that an endpoint with a real model can take this place later: it gets
the whole corpus once (`prepare`), then one document at a time, and its `name` is part of the cache key, so that
another model means other results. The default needs no network and no weights, and claims nothing: `ExtractiveModel`
*chooses* sentences of the document and never writes one, and the pages say so.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import TYPE_CHECKING, Protocol

from workers.knowledge_base import markup, words
from workers.knowledge_base.categories import FALLBACK, choose_category
from workers.knowledge_base.model import Analysis

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workers.knowledge_base.model import Document

#: Most sentences that are compared with each other; the comparison is quadratic.
_CANDIDATES_MAX = 120
_SENTENCES_IN_SUMMARY = 3
_KEYWORDS = 10
_VECTOR_TERMS = 80
#: Docstrings that join the description as a source of terms, in characters: the outer modules say most.
_DOCSTRINGS_FOR_TERMS = 8_000

#: Below this many characters a description is too short to take keywords from alone.
_SHORT_DESCRIPTION = 500

#: Sections that tell how to get or help a project, not what it is.
_SIDE_SECTION = re.compile(
    r"licen[sc]e|change|release|history|contribut|install|sponsor|credit|thank|author|acknowledg|support|donat|links?\b"
    r"|badge|communit|bug|issue|develop|test|building|requirements|deprecat|migrat|upgrad|faq|contact|who uses|versioning"
    r"|security|enterprise|table of contents|contents|what's new|^v?\d+\.\d+|compatib|opinions|code of conduct|maintain"
    r"|getting help|copyright|download",
    re.IGNORECASE,
)


def main_sections(document: Document) -> list[markup.Section]:
    """The sections of a description about what the project does, not about getting, helping or releasing it.

    What is below such a heading belongs to it: the "Fixes" of a release are no part of the description.
    """
    kept: list[markup.Section] = []
    side_level = 0
    for section in markup.parse_sections(document.description, document.description_format):
        if side_level and section.level > side_level:
            continue
        # Below the title everything is deeper, so a title such as "Installing things" must not hide the document.
        side = section.level > 0 and _SIDE_SECTION.search(section.heading) is not None
        side_level = section.level if side and section.level > 1 else 0
        if not side:
            kept.append(section)
    return kept


class LanguageModel(Protocol):
    """Whoever can say what a document is about."""

    @property
    def name(self) -> str:
        """Identity and version. Results are kept under this name, so change it when results would change."""

    def prepare(self, corpus: Sequence[Document]) -> None:
        """Look at all documents of the run, once, before the first is analysed."""

    def analyse(self, document: Document) -> Analysis:
        """The analysis of one document. May raise; the document then counts as failed and the run goes on."""


def unanalysed(document: Document) -> Analysis:
    """What stands in when the step was skipped: nothing is claimed beyond the metadata."""
    return Analysis(
        model="none",
        method="none",
        sentences=(),
        keywords=document.keywords[:_KEYWORDS],
        category=FALLBACK,
        category_evidence=("the language step was skipped",),
    )


class ExtractiveModel:
    """The default: TF-IDF terms over the corpus, sentences ranked by a TextRank walk, categories by evidence."""

    name = "extractive-1"

    def __init__(self) -> None:
        self._documents = 0
        self._frequency: Counter[str] = Counter()

    def prepare(self, corpus: Sequence[Document]) -> None:
        """Count in how many documents each term occurs."""
        self._documents = len(corpus)
        self._frequency = Counter()
        for document in corpus:
            self._frequency.update(set(words.terms(_text(document))))

    def analyse(self, document: Document) -> Analysis:
        """Summary, keywords and category of one document, all taken from its own text."""
        vector = self._vector(document)
        choice = choose_category(document, vector)
        return Analysis(
            model=self.name,
            method="extractive",
            sentences=tuple(self._summary(document, vector)),
            keywords=tuple(_keywords(document, vector)),
            category=choice.category,
            category_evidence=choice.evidence,
            vector=vector,
        )

    def _vector(self, document: Document) -> dict[str, float]:
        """The document's strongest terms with TF-IDF weights, scaled to length 1."""
        counts: Counter[str] = Counter(words.terms(_text(document)))
        # What a project says in its description, and above all in its one line, weighs more than a word in passing.
        counts.update(words.terms(_description_text(document)))
        for term in words.terms(f"{document.summary}. {'. '.join(document.keywords)}"):
            counts[term] += 4
        weights = {
            term: (1 + math.log(count)) * self._rarity(term)
            for term, count in counts.items()
            if count > 1 or " " not in term
        }
        strongest = sorted((term for term in weights if weights[term] > 0), key=lambda term: (-weights[term], term))
        kept = strongest[:_VECTOR_TERMS]
        norm = math.sqrt(sum(weights[term] ** 2 for term in kept)) or 1.0
        return {term: round(weights[term] / norm, 4) for term in kept}

    def _rarity(self, term: str) -> float:
        return math.log((1 + self._documents) / (0.5 + min(self._frequency[term], self._documents)))

    def _summary(self, document: Document, vector: dict[str, float]) -> list[str]:
        candidates = _candidates(document)
        if not candidates:
            return []
        bags = [Counter(words.stem(word) for word in words.words(sentence)) for sentence in candidates]
        ranks = _text_rank(bags)
        own_words = {words.stem(word) for word in words.words(f"{document.name} {document.summary}")}
        scores = []
        for position, (sentence, bag, rank) in enumerate(zip(candidates, bags, ranks, strict=True)):
            topical = sum(vector.get(term, 0.0) for term in bag)
            overlap = len(own_words & set(bag)) / (len(own_words) or 1)
            # Documentation says what a thing is first. The sentence "X is a ..." is what a reader looks for.
            early = 1.0 / (1.0 + position / 4)
            defines = 0.8 if _defines(sentence, document.name) else 0.0
            detail = 0.4 * len(_CODE.findall(sentence))
            scores.append(rank * len(candidates) * 0.25 + topical * 0.5 + overlap * 0.5 + early + defines - detail)
        return _pick(
            candidates, bags, scores, already=Counter(words.stem(word) for word in words.words(document.summary))
        )


def similarity(first: dict[str, float], second: dict[str, float]) -> float:
    """Cosine of two unit vectors, 0 to 1."""
    small, large = sorted((first, second), key=len)
    return sum(weight * large.get(term, 0.0) for term, weight in small.items())


def _description_text(document: Document) -> str:
    parts = [document.summary, ". ".join(document.keywords)]
    for section in main_sections(document):
        parts += [section.heading, *section.paragraphs]
    return "\n".join(parts)


def _text(document: Document) -> str:
    """The text whose terms stand for the document: the description, and the outer docstrings."""
    parts = [_description_text(document)]
    length = 0
    for doc in document.module_docs:
        length += len(doc.text)
        if length > _DOCSTRINGS_FOR_TERMS:
            break
        parts.append(doc.text)
    return "\n".join(parts)


def _keywords(document: Document, vector: dict[str, float]) -> list[str]:
    """The strongest terms of the description, spelled as it spells them; a pair swallows its single words.

    Terms that only docstrings use (argument names, mostly) help to compare documents but say little to a reader.
    """
    text = _description_text(document)
    if len(text) < _SHORT_DESCRIPTION:
        text += (
            "\n" + "\n".join(doc.text for doc in document.module_docs if doc.kind == "module")[:_DOCSTRINGS_FOR_TERMS]
        )
    spelling, said = _spellings(text), set(words.terms(text))
    own_name = {words.stem(part) for part in re.split(r"[-_.]+", document.name.lower())}
    chosen: list[str] = []
    for term in vector:
        parts = term.split(" ")
        if (
            term not in said
            or set(parts) <= own_name
            or any(part in each.split(" ") for part in parts for each in chosen)
        ):
            continue
        chosen.append(term)
        if len(chosen) == _KEYWORDS:
            break
    return [" ".join(spelling.get(part, part) for part in term.split(" ")) for term in chosen]


def _spellings(text: str) -> dict[str, str]:
    """For each stem the word that the text uses most for it."""
    counts = Counter(words.words(text))
    result: dict[str, str] = {}
    for word, _ in counts.most_common():
        result.setdefault(words.stem(word), word)
    return result


def _candidates(document: Document) -> list[str]:
    """Sentences that may stand in a summary: prose, of a readable length, in the order of the document."""
    found: list[str] = []
    for section in main_sections(document):
        found += _prose(section.paragraphs, document.name)
    outermost = document.module_docs[0] if document.module_docs else None
    if len(found) < _SENTENCES_IN_SUMMARY and outermost is not None and outermost.kind == "module":
        # A description of one line: the package's own docstring says more.
        for section in markup.parse_sections(outermost.text, "rst"):
            found += _prose(section.paragraphs, document.name)
    return list(dict.fromkeys(found))[:_CANDIDATES_MAX]


def _prose(paragraphs: Sequence[str], name: str) -> list[str]:
    """The usable sentences of some paragraphs. One that begins in lower case is a list entry, unless it is a name."""
    return [
        sentence
        for paragraph in paragraphs
        for sentence in words.sentences(paragraph)
        if _is_prose(sentence) and (not sentence[0].islower() or sentence.lower().startswith(name.lower()))
    ]


#: Starts of sentences that do not stand on their own: references to what is around them, and calls to act.
_DEPENDENT_START = re.compile(
    r"(?:see|click|note|warning|copyright|please|to \w+|install|check out|read|visit|run|here|now|then|but|and|so|thanks|you"
    r"|your|it also|this (?!is a|package|library|module|project|provides)|these|those|which|if|we|i|i'm|let's"
    r"|in (?:this|the above|addition)|for (?:more|example|instance|further|details|usage)|feel free"
    r"|the (?:above|following|example|code below)|select|create|import|use|enable|add|set|take care|depends on|available"
    r"|first|next|finally|not|look|suppose|consider|however|also|because)\b",
    re.IGNORECASE,
)
#: Names out of code: a sentence with many of them explains a detail.
_CODE = re.compile(r"\w+\(|\w_\w|\w\.\w+\.\w|==")
#: Sentences about the project's surroundings, not about what it does.
_SURROUNDINGS = re.compile(
    r"https?:|tidelift|sponsor|issue tracker|repository|pull request|\bpip\b|pypi|github|discord|credit is|credits? goes"
    r"|same author|documentation (?:is|can|for|at)|read the docs|\bdocs (?:are|is)\b|semantic versioning|code of conduct"
    r"|backed by|open source and",
    re.IGNORECASE,
)


def _is_prose(sentence: str) -> bool:
    letters = sum(character.isalpha() or character == " " for character in sentence)
    return (
        35 <= len(sentence) <= 320
        and letters >= 0.86 * len(sentence)
        and sentence[0].isalnum()
        and sentence[-1] in ".!"
        and len(sentence.split()) >= 6
        and not _SURROUNDINGS.search(sentence)
        and not _DEPENDENT_START.match(sentence)
    )


def _defines(sentence: str, name: str) -> bool:
    """Whether the sentence says what the distribution is: "X is a ...", "This library provides ..."."""
    subject = rf"(?:{re.escape(name)}|this (?:package|library|module|project|is))"
    verb = r"(?:is|provides|offers|allows|aims|contains|lets)"
    return re.match(rf"(?:the )?{subject}\b.{{0,40}}?\b{verb}\b", sentence, re.IGNORECASE) is not None


def _text_rank(bags: Sequence[Counter[str]]) -> list[float]:
    """How central each sentence is: the stationary weights of a walk between sentences that share words."""
    size = len(bags)
    links = [[0.0] * size for _ in range(size)]
    for first in range(size):
        for second in range(first):
            shared = len(bags[first].keys() & bags[second].keys())
            scale = math.log(1 + len(bags[first])) + math.log(1 + len(bags[second]))
            links[first][second] = links[second][first] = shared / scale if shared and scale else 0.0
    outgoing = [sum(row) or 1.0 for row in links]
    ranks = [1.0 / size] * size
    for _ in range(25):
        shares = [rank / out for rank, out in zip(ranks, outgoing, strict=True)]
        # The links are the same in both directions, so a row holds what comes in as well.
        ranks = [
            0.15 / size + 0.85 * sum(share * link for share, link in zip(shares, row, strict=True) if link)
            for row in links
        ]
    return ranks


def _pick(candidates: list[str], bags: list[Counter[str]], scores: list[float], already: Counter[str]) -> list[str]:
    """The best sentences that do not repeat the one-line summary or each other, in the document's order."""
    chosen: list[int] = []
    said = [already] if already else []
    for position in sorted(range(len(candidates)), key=lambda each: (-scores[each], each)):
        if all(_overlap(bags[position], other) < 0.7 for other in said):
            chosen.append(position)
            said.append(bags[position])
        if len(chosen) == _SENTENCES_IN_SUMMARY:
            break
    return [candidates[position] for position in sorted(chosen)]


def _overlap(first: Counter[str], second: Counter[str]) -> float:
    return len(first.keys() & second.keys()) / (min(len(first), len(second)) or 1)
