"""The docstrings of a distribution's modules: parsed, never imported, so nothing of it is run.

Only public documentation counts: modules, classes and functions without a leading underscore, no tests. Everything is
bounded, because a distribution may list any file, of any size, anywhere, in its RECORD.
"""

from __future__ import annotations

import ast
import warnings
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from workers.knowledge_base.model import ModuleDoc

if TYPE_CHECKING:
    import importlib.metadata
    from collections.abc import Iterator

#: Largest module that is parsed, in bytes.
MODULE_SIZE_MAX = 1_500_000
#: Most modules of one distribution that are parsed.
MODULES_MAX = 400
#: Longest docstring that is kept, in characters.
DOCSTRING_LENGTH_MAX = 1_500
#: All docstrings of one distribution, in characters.
TOTAL_LENGTH_MAX = 600_000

_PRIVATE_FOLDERS = frozenset({"test", "tests", "testing", "vendor", "vendored", "extern", "examples", "docs"})


def read_module_docs(distribution: importlib.metadata.Distribution) -> tuple[ModuleDoc, ...]:
    """The documented public names of a distribution, outermost modules first, within the limits above."""
    found: list[ModuleDoc] = []
    length = 0
    for name, path in _modules(distribution):
        for doc in _documented(name, path):
            length += len(doc.text)
            if length > TOTAL_LENGTH_MAX:
                return tuple(found)
            found.append(doc)
    return tuple(found)


def _modules(distribution: importlib.metadata.Distribution) -> list[tuple[str, Path]]:
    """Dotted names and paths of the public modules, shallow ones first: they say more about the whole."""
    root = Path(str(distribution.locate_file(""))).resolve()
    found: list[tuple[str, Path]] = []
    for entry in distribution.files or ():
        name = _module_name(PurePosixPath(str(entry)))
        if name is None:
            continue
        path = (root / str(entry)).resolve()
        # RECORD may name any path, and a link may lead anywhere: only regular files below the root are documentation.
        if path.is_relative_to(root) and path.is_file() and path.stat().st_size <= MODULE_SIZE_MAX:
            found.append((name, path))
    found.sort(key=lambda each: (each[0].count("."), each[0]))
    return found[:MODULES_MAX]


def _module_name(entry: PurePosixPath) -> str | None:
    if entry.suffix != ".py" or entry.is_absolute():
        return None
    parts = [*entry.parts[:-1], entry.stem]
    if parts[-1] == "__init__":
        parts = parts[:-1]
    public = all(part.isidentifier() and not part.startswith("_") and part not in _PRIVATE_FOLDERS for part in parts)
    return ".".join(parts) if parts and public else None


def _documented(module: str, path: Path) -> Iterator[ModuleDoc]:
    try:
        with warnings.catch_warnings():
            # A stranger's doubtful escape sequence is no concern of this run.
            warnings.simplefilter("ignore")
            tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, RecursionError, MemoryError, OSError):
        # Template files, code for another Python, null bytes, absurd nesting: no documentation to be had here.
        return
    yield from _doc(module, "module", tree)
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from _doc(f"{module}.{node.name}", "class", node)
            for member in node.body:
                if isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef) and not member.name.startswith("_"):
                    yield from _doc(f"{module}.{node.name}.{member.name}", "function", member)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            yield from _doc(f"{module}.{node.name}", "function", node)


def _doc(
    name: str, kind: str, node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
) -> Iterator[ModuleDoc]:
    text = (ast.get_docstring(node) or "").strip()
    if text:
        yield ModuleDoc(name=name, kind=kind, text=text[:DOCSTRING_LENGTH_MAX])
