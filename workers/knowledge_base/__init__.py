"""The knowledge base run (task type `run_agent`): real input, real work, live progress.

What it does. Every installed distribution carries documentation: a long description, a summary, project links, a
licence, and the docstrings of its modules. This package reads it through `importlib.metadata`, and writes a
categorised knowledge base of Markdown files with an index, one synthesis per category and a full-text search index,
and commits the files to a git repository of its own. Nothing is fetched from a network and no distribution is
imported: modules are parsed, never run.

How it is cut. `pipeline` drives seven phases; what a phase does lives in a module of its own::

    phase                         module            reads                        writes
    initialization                workspace         preferences                  the output folder, its lock
    fetch                         sources           importlib.metadata           (memory)
    content_processing.cache      docstrings        long texts and docstrings    .state/documents/<slug>.json
    content_processing.media      media             the descriptions             the same record
    content_processing.llm        language          the corpus                   the same record
    content_processing.kb_item    item_page         the records                  <category>/<slug>.md
    synthesis                     synthesis         the records                  <category>/README.md
    embeddings                    search_index      the records                  .state/search.sqlite3
    readme                        readme            the records                  README.md, index.md
    git_sync                      git_repository    the folder                   one commit

Three rules hold everywhere:

- *One document never ends the run.* What fails for one document is logged, counted in `items_failed` and left out;
  the other documents go on.
- *A kill at any point leaves a readable state.* Each file is written beside its place and renamed into it; a record
  carries the results of all steps of one document, each with the hash of what it was made from. So the next run does
  what is missing and skips what is unchanged, and no step needs to know how the last run ended.
- *Nothing pretends.* Progress counts documents that are done. The language step is extractive by default (it picks
  sentences, it writes none) and every page says so. The "embeddings" phase keeps its name from the agent run it
  follows, but what it builds is a lexical index (SQLite FTS5, BM25): there are no vectors in it.

The pipeline knows its caller only as `run_context.RunContext`, so tests drive it with a recording context, without a
worker. `task` is the only module that knows the SDK.
"""

from workers.knowledge_base.task import run_agent

__all__ = ["run_agent"]
