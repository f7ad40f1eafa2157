"""Installed distributions made to order: a folder that `importlib.metadata` reads like a site-packages."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def make_distribution(
    site: Path,
    name: str,
    description: str = "",
    *,
    version: str = "1.0",
    headers: Mapping[str, str | list[str]] | None = None,
    modules: Mapping[str, str] | None = None,
    record: list[str] | None = None,
    folder: str | None = None,
) -> Path:
    """Make one below `site`; answers its metadata folder. `record` replaces the list of its files."""
    lines = ["Metadata-Version: 2.4", f"Name: {name}", f"Version: {version}"]
    for header, value in (headers or {}).items():
        lines += [f"{header}: {each}" for each in ([value] if isinstance(value, str) else value)]
    info = site / f"{folder or name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("\n".join(lines) + "\n\n" + description, encoding="utf-8")
    for path, text in (modules or {}).items():
        target = site / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    files = record if record is not None else [f"{path},," for path in (modules or {})]
    (info / "RECORD").write_text("\n".join([*files, f"{info.name}/METADATA,,"]) + "\n", encoding="utf-8")
    return info
