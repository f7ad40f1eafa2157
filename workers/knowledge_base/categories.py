"""The categories, and how a document finds its own: by evidence that can be read afterwards.

Three kinds of evidence are weighed. What the distribution says about itself in few words (its name, summary and
keywords) counts most; trove topics count where they are specific ("Topic :: Utilities" says nothing); the strongest
terms of the long description decide the rest. Evidence is kept in words, so that a page can say why it is where it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from workers.knowledge_base import words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workers.knowledge_base.model import Document


@dataclass(frozen=True, kw_only=True)
class Category:
    """One shelf of the knowledge base. Its id is a folder name."""

    id: str
    title: str
    #: What belongs here, in one line.
    about: str
    #: Words that point here, blank-separated. A plus sign joins a pair; an asterisk before a word doubles it.
    signals: str
    #: Trove classifiers that point here, as prefixes.
    topics: tuple[str, ...] = ()
    #: Signals in stemmed form, with their weights.
    terms: Mapping[str, float] = field(init=False)

    def __post_init__(self) -> None:
        weighted = {}
        for entry in self.signals.split():
            text = entry.lstrip("*")
            stems = " ".join(words.stem(part) for part in text.replace("+", " ").split())
            # A pair says much more than a word.
            weighted[stems] = (2.0 if entry.startswith("*") else 1.0) * (1.5 if "+" in text else 1.0)
        object.__setattr__(self, "terms", weighted)


FALLBACK = "general"

CATEGORIES: tuple[Category, ...] = (
    Category(
        id="web",
        title="Web and HTTP",
        about="Servers, clients and frameworks for the web.",
        signals="*http *web *asgi *wsgi *http/1 *starlette *websocket *swagger *openapi rest html+page cors"
        " cookie session+cookie *http+client *http+server *web+framework *url idna domain+name"
        " requests+library *http+parser browser",
        topics=("Topic :: Internet :: WWW/HTTP", "Framework :: FastAPI", "Framework :: Django", "Framework :: Flask"),
    ),
    Category(
        id="rpc-and-data-formats",
        title="RPC and data formats",
        about="Remote calls, interface definitions, and turning objects into bytes and back.",
        signals="*grpc *rpc *protobuf *protoc *protocol+buffer proto *json *yaml *toml *msgpack *avro"
        " *serialization *serialize deserialize *idl marshalling *bufbuild *grpcurl *cbor",
    ),
    Category(
        id="databases",
        title="Databases and caches",
        about="Database drivers, object mappers, migrations and embedded servers.",
        signals="*database *sql *postgres *postgresql *sqlite *mysql *orm *redis *valkey *key-value *migration"
        " *mongodb *sqlalchemy *pgserver psycopg dbapi cache+server query cursor *database+adapter",
        topics=("Topic :: Database",),
    ),
    Category(
        id="jobs-and-scheduling",
        title="Background jobs and scheduling",
        about="Queues, workers, and work that happens later or again.",
        signals="*job *queue *worker *task+queue *cron *crontab *celery *background+job *scheduler *schedule"
        " *cron+like enqueue dequeue *background+task iteration+datetime",
        topics=("Framework :: Celery",),
    ),
    Category(
        id="concurrency",
        title="Concurrency",
        about="Event loops, locks, and running things at the same time.",
        signals="*asyncio *async *asynchronous *trio *event+loop *lock *thread *process+lock *concurrency"
        " *coroutine *libuv multiprocessing *parallel deadlock *structured+concurrency greenlet"
        " *distributed+deployment *interprocess *gevent *multi",
        topics=("Framework :: AnyIO", "Framework :: Trio"),
    ),
    Category(
        id="testing",
        title="Testing",
        about="Test runners, their plugins, generated tests and coverage.",
        signals="*test *pytest *pytest+support *pytest+plugin *testing *coverage *property-based *fuzzing *mock"
        " fixture *unittest assertion *test+suite *xdist *hypothesis tox",
        topics=("Topic :: Software Development :: Testing", "Framework :: Pytest", "Framework :: tox"),
    ),
    Category(
        id="typing",
        title="Types and type checking",
        about="Type hints, stubs for type checkers, and the checkers themselves.",
        signals="*typing *mypy *mypyc *stub *typeshed *type+hint *type+annotation *typechecking *type+check"
        " *type+checker *static+typing annotation *annotated pyright *typing+stub *type+system *backported"
        " *runtime+typing introspection",
        topics=("Typing :: Stubs Only",),
    ),
    Category(
        id="validation-and-settings",
        title="Validation and settings",
        about="Checking data, and reading configuration.",
        signals="*validation *validate *validator *pydantic *schema *settings *configuration *config *ini *dotenv"
        " *environment+variable *env parsing *ini+parsing *data+validation *settings+management",
        topics=("Framework :: Pydantic",),
    ),
    Category(
        id="command-line",
        title="Terminal and command line",
        about="Command-line interfaces, shells and text in terminals.",
        signals="*terminal *cli *clis *command+line *command-line *shell *argparse *prompt *console *ansi"
        " *rich+text color *surrounding+shell tui curses progress+bar",
        topics=("Topic :: Terminals", "Environment :: Console :: Curses", "Topic :: System :: Shells"),
    ),
    Category(
        id="text-and-templates",
        title="Text, markup and templates",
        about="Parsing, highlighting and producing text.",
        signals="*template *templating *markdown *markup *html+escape *syntax+highlight *lexer *parser"
        " *commonmark *xml *rst *template+engine *templating+language *render tokenizer unicode *escape"
        " *highlighting",
        topics=("Topic :: Text Processing", "Topic :: Documentation"),
    ),
    Category(
        id="observability",
        title="Observability",
        about="Metrics, traces, logs and looking into running systems.",
        signals="*monitoring *metric *tracing *telemetry *opentelemetry *observability *prometheus *profiling"
        " *instrumentation span *process+monitoring *system+monitoring cpu logging",
        topics=("Topic :: System :: Monitoring", "Topic :: System :: Logging", "Framework :: OpenTelemetry"),
    ),
    Category(
        id="code-quality",
        title="Code quality",
        about="Linters, formatters and tools that look at source code.",
        signals="*lint *linter *imports *formatter *code+formatter *import+graph *static+analysis *architecture"
        " *ast *import-linter *flake8 *pylint *code+quality refactor *import+contract *ast+serialization"
        " graph+import",
        topics=("Topic :: Software Development :: Quality Assurance",),
    ),
    Category(
        id="packaging",
        title="Packaging",
        about="Building, installing and describing distributions; plugin systems.",
        signals="*pypi *pip *setuptools *wheel packaging *packaging+interoperability *build+backend *installer"
        " *dependency+resolver *plugin *hook *pep+517 *egg *virtualenv distribution+metadata"
        " *package+management entry+point *setuptools *extension+module *specifier",
        topics=("Topic :: Software Development :: Build Tools", "Topic :: System :: Archiving :: Packaging"),
    ),
    Category(
        id="security",
        title="Security",
        about="Certificates, cryptography and secrets.",
        signals="*certificate *ssl *tls *cryptography *cryptographic *ca+bundle *encryption *password *jwt *oauth"
        " *secret *ca *mozilla",
        topics=("Topic :: Security",),
    ),
    Category(
        id="dates-and-times",
        title="Dates and times",
        about="Calendars, time zones and arithmetic with time.",
        signals="*datetime *timezone *time+zone *iana *calendar *tzdata *date *dateutil recurrence rrule"
        " *time+zon leap",
    ),
    Category(
        id="files-and-system",
        title="Files and the operating system",
        about="Paths, processes and what the platform offers.",
        signals="*file+path *path *directory *filesystem *gitignore *platform-specific *platform"
        " *operating+system *appdirs *pattern+matching folder *file+system",
        topics=("Topic :: System :: Filesystems", "Topic :: System :: Operating System"),
    ),
    Category(
        id="science-and-data",
        title="Science and data",
        about="Numbers, data sets, statistics and learning.",
        signals="numpy *scipy *dataframe *pandas *machine+learning *statistics *matrix *array *plot neural"
        " *scientific *sorted+containers *sorted+list *data+structure *numerical",
        topics=("Topic :: Scientific/Engineering",),
    ),
    Category(
        id=FALLBACK,
        title="General",
        about="What fits on no other shelf.",
        signals="",
    ),
)

BY_ID: dict[str, Category] = {category.id: category for category in CATEGORIES}

#: Below this score a document belongs nowhere in particular.
_SCORE_MIN = 3.0
_NAME_WEIGHT, _SUMMARY_WEIGHT, _KEYWORD_WEIGHT, _TOPIC_WEIGHT, _BODY_WEIGHT = 3.5, 3.0, 1.2, 3.0, 9.0
#: A distribution with forty keywords must not outvote its own summary.
_KEYWORD_SCORE_MAX = 5.0


@dataclass(frozen=True)
class Choice:
    """The category of a document, and what spoke for it, strongest first."""

    category: str
    evidence: tuple[str, ...]


def choose_category(document: Document, vector: Mapping[str, float]) -> Choice:
    """The category with the most evidence; `vector` holds the weights of the document's strongest terms."""
    best = Choice(FALLBACK, ("no category had enough evidence",))
    best_score = _SCORE_MIN
    for category in CATEGORIES:
        evidence = _evidence(category, document, vector)
        score = sum(evidence.values())
        if score > best_score:
            strongest = sorted(evidence, key=lambda reason: -evidence[reason])
            best, best_score = Choice(category.id, tuple(strongest[:4])), score
    return best


def _evidence(category: Category, document: Document, vector: Mapping[str, float]) -> dict[str, float]:
    found: dict[str, float] = {}
    name = " ".join(re.split(r"[-_.]+", document.name))
    for where, text, weight, limit in (
        ("name", name, _NAME_WEIGHT, 99.0),
        ("summary", document.summary, _SUMMARY_WEIGHT, 99.0),
        ("keywords", ", ".join(document.keywords), _KEYWORD_WEIGHT, _KEYWORD_SCORE_MAX),
    ):
        hits = _hits(category, text)
        if hits:
            reason = f"{where}: {', '.join(sorted(hits, key=lambda hit: -hits[hit])[:3])}"
            found[reason] = min(limit, weight * sum(hits.values()))
    topics = [topic for topic in document.classifiers if topic.startswith(category.topics)] if category.topics else []
    if topics:
        found[f"topic: {topics[0].partition(' :: ')[2]}"] = _TOPIC_WEIGHT + 0.5 * min(2, len(topics) - 1)
    body = {term: vector[term] * weight for term, weight in category.terms.items() if term in vector}
    if body:
        strongest = sorted(body, key=lambda term: -body[term])[:3]
        found[f"text: {', '.join(strongest)}"] = _BODY_WEIGHT * sum(body.values())
    return found


def _hits(category: Category, text: str) -> dict[str, float]:
    """The category's signals in a short text, each once, shown as the text spells them, with their weights."""
    # With stop words: a pair must stand side by side.
    spelled = words.tokens(text)
    stems = [words.stem(word) for word in spelled]
    hits: dict[str, float] = {}
    for position, single in enumerate(stems):
        if single in category.terms:
            hits[spelled[position]] = category.terms[single]
        for part in single.split("-"):
            if part != single and part in category.terms:
                hits[part] = category.terms[part]
        pair = " ".join(stems[position : position + 2])
        if pair in category.terms:
            hits[" ".join(spelled[position : position + 2])] = category.terms[pair]
    return hits
