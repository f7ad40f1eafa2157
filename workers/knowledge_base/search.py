"""Search the knowledge base from a terminal: `python -m workers.knowledge_base.search "query"`.

Exit codes: 0 something was found, 1 nothing was found, 2 wrong use, 3 there is no index.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from workers.knowledge_base.search_index import SearchIndexError, search
from workers.knowledge_base.workspace import Workspace, output_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workers.knowledge_base.search_index import Hit


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the search that the arguments ask for; answers the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m workers.knowledge_base.search", description="Search the knowledge base."
    )
    parser.add_argument("query", nargs="+", help="words or a question")
    parser.add_argument("--limit", type=int, default=5, help="most documents to show (default 5)")
    parser.add_argument("--output-dir", type=Path, help="the knowledge base (default: where the task writes it)")
    parser.add_argument("--json", action="store_true", help="print the hits as JSON")
    options = parser.parse_args(arguments)
    root = output_folder(options.output_dir, os.environ)
    try:
        hits = search(Workspace(root).search_index, " ".join(options.query), options.limit)
    except SearchIndexError as error:
        sys.stderr.write(f"{error}\n")
        return 3
    if options.json:
        sys.stdout.write(json.dumps([dataclasses.asdict(hit) for hit in hits], indent=2) + "\n")
    else:
        sys.stdout.write("\n".join(_lines(hit, root) for hit in hits) or "Nothing found.\n")
    return 0 if hits else 1


def _lines(hit: Hit, root: Path) -> str:
    lines = [f"{hit.name}  ({hit.category})  {hit.score:.1f}", f"  {hit.summary}", f"  {root / hit.path}"]
    lines += [f"    {passage.heading}: {passage.snippet}" for passage in hit.passages[:2]]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
