"""Words and sentences: what the language step and the search count."""

from __future__ import annotations

import re
from functools import lru_cache

_WORD = re.compile(r"[a-z][a-z0-9+#]*(?:-[a-z0-9]+)*")
#: Links, mail addresses and @handles: who is mentioned is not what a text is about.
_ADDRESS = re.compile(r"\bhttps?://\S+|\b[\w.+-]{1,64}@[\w.-]{1,200}|(?<!\w)@[\w-]+")
#: A pair of words never reaches across one of these.
_PHRASE_END = re.compile(r"[^\w\s+#/-]+|\s[-/]\s|\n")
#: Commit ids and other long numbers that happen to contain letters.
_HASH = re.compile(r"(?=[a-z0-9]*[0-9])[a-f0-9]{7,}|[a-z0-9]{25,}")
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]?\s+(?=[\"'(\[]?[A-Z0-9])")
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|vs|cf|approx|resp|incl|no|fig|dr|mr|ms|inc|ltd|al|ver|v)|\b[A-Z])\.$", re.IGNORECASE
)

_STOP_TEXT = """
a about above after again against all also am an and any are aren as at be because been before being below between
both but by can cannot could couldn d did didn do does doesn doing don done down during each either else ever every
few for from further get gets getting given gives go got had hadn has hasn have haven having he her here hers him
his how however i if in into is isn it its itself just know let like ll m made make makes making many may me might
more most much must my need needs no nor not now of off often on once one only onto or other others our ours out
over own per please quite rather re really s same see set several shall she should shouldn since so some such t
take than that the their theirs them then there these they this those through thus to too two under until up upon
us use used uses using ve very via want was wasn way we well were weren what when where whether which while who
whom whose why will with within without won would wouldn yet you your yours able allow allows e g eg ie etc vs
https www com org first new simple easy easily good great best better fast version versions available support
supports supported provide provides provided include includes including included following example examples note
default different work works working
"""
#: Words that carry no meaning of their own.
STOP_WORDS = frozenset(_STOP_TEXT.split())

_PACKAGE_TEXT = """
python pip install installed installing installation package packages pypi library libraries module modules project
projects code release releases released documentation docs readme changelog license licensed licence github
repository issue issues pull request contribute contributing contributors copyright import build badge badges img
shields io latest main master git usage feature features readthedocs cpython pypy wheel wheels python3 py py3
authors author maintainers maintained maintainer user users see-also mit bsd apache sponsor sponsors community
discussions status logo alt src align center width height href svg png none true false str int bool list dict tuple
object objects return returns param type args kwargs value values name class function method call called instance
"""
#: Words that any distribution's documentation is full of, so that they tell nothing about this one.
PACKAGE_WORDS = frozenset(_PACKAGE_TEXT.split())


def tokens(text: str) -> list[str]:
    """Every word of a text in lower case, in order, stop words included."""
    return _WORD.findall(text.lower())


def words(text: str) -> list[str]:
    """The words of a text in lower case, stop words and single letters left out."""
    return [word for word in tokens(text) if len(word) > 1 and word not in STOP_WORDS]


def terms(text: str) -> list[str]:
    """Stemmed single words and pairs that stand side by side, without what every package says about itself."""
    found: list[str] = []
    for phrase in _PHRASE_END.split(_ADDRESS.sub(" . ", text.lower())):
        before = ""
        for word in _WORD.findall(phrase):
            if len(word) < 2 or word in STOP_WORDS or word in PACKAGE_WORDS or _HASH.fullmatch(word):
                before = ""
                continue
            stemmed = stem(word)
            found.append(stemmed)
            if before and before != stemmed:
                found.append(f"{before} {stemmed}")
            before = stemmed
    return found


@lru_cache(maxsize=50_000)
def stem(word: str) -> str:
    """The word without its commonest endings, so that `tests`, `tested` and `testing` meet."""
    for ending, replacement in (("ies", "y"), ("sses", "ss"), ("ing", ""), ("ed", ""), ("s", "")):
        rest = word[: len(word) - len(ending)]
        if (
            word.endswith(ending)
            and len(rest) >= 3
            and re.search(r"[aeiouy]", rest)
            and not word.endswith(("ss", "us", "is"))
        ):
            # "running" has doubled its consonant; "caching" and "cached" meet without their e.
            if ending in {"ing", "ed"} and len(rest) > 3 and rest[-1] == rest[-2] and rest[-1] not in "ls":
                rest = rest[:-1]
            word = rest + replacement
            break
    return word[:-1] if len(word) > 4 and word.endswith("e") else word


def sentences(paragraph: str) -> list[str]:
    """The sentences of a paragraph, in order."""
    found: list[str] = []
    for piece in _SENTENCE_END.split(paragraph):
        if found and _ABBREVIATION.search(found[-1]):
            found[-1] = f"{found[-1]} {piece}"
        else:
            found.append(piece)
    return [piece.strip() for piece in found if piece.strip()]
