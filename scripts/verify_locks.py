"""Check the lock files against pyproject.toml: everything pinned with hashes, nothing missing, no index addresses.

Which index to use is the business of whoever installs; a lock file that names one works in one place only.
Exit code 1 and one line per mistake if something is wrong.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LOCKS = {
    "requirements/runtime.txt": ("services", "embedded", "build"),
    "requirements/dev.txt": ("services", "embedded", "build", "dev"),
}
_ADDRESS = re.compile(r"https?://|--(extra-)?index-url|--find-links|--trusted-host|(^|\s)-[if]\s")


def pinned(lock: str) -> dict[str, str]:
    """The versions that a lock file pins, by canonical name."""
    pins = {}
    for line in lock.replace("\\\n", " ").splitlines():
        match = re.match(r"([A-Za-z0-9._-]+)==([^\s;]+)", line)
        if match:
            pins[canonicalize_name(match[1])] = match[2]
    return pins


def mistakes_in_text(lock: str) -> Iterable[str]:
    """What is wrong with a lock file by itself."""
    for number, line in enumerate(lock.splitlines(), start=1):
        if not line.lstrip().startswith("#") and _ADDRESS.search(line):
            yield f"line {number} names an index: {line.strip()}"
    for entry in lock.replace("\\\n", " ").splitlines():
        if entry.strip() and not entry.lstrip().startswith("#") and "--hash=sha256:" not in entry:
            yield f"without a hash: {entry.strip()[:80]}"


def mistakes_in_pins(requirements: Iterable[str], pins: dict[str, str]) -> Iterable[str]:
    """Direct dependencies that are not pinned, or pinned to a version that pyproject.toml does not allow."""
    for text in requirements:
        requirement = Requirement(text)
        version = pins.get(canonicalize_name(requirement.name))
        if version is None:
            yield f"{requirement.name} is missing"
        elif not requirement.specifier.contains(version, prereleases=True):
            yield f"{requirement.name} is pinned to {version}, but pyproject.toml asks for {requirement.specifier}"


def main() -> int:
    """Check all locks; returns the exit code."""
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    texts = {name: Path(name).read_text() for name in LOCKS}
    pins = {name: pinned(text) for name, text in texts.items()}
    wrong = []
    for name, extras in LOCKS.items():
        direct = [
            *project["dependencies"],
            *(text for extra in extras for text in project["optional-dependencies"][extra]),
        ]
        mistakes = (*mistakes_in_text(texts[name]), *mistakes_in_pins(direct, pins[name]))
        wrong += [f"{name}: {mistake}" for mistake in mistakes]
    runtime, dev = (pins[name] for name in LOCKS)
    wrong += [
        f"{name} is {version} in the runtime lock, but {dev.get(name)} in the development lock"
        for name, version in runtime.items()
        if dev.get(name) != version
    ]
    for mistake in wrong:
        sys.stderr.write(f"{mistake}\n")
    if not wrong:
        sys.stdout.write(f"lock files are up to date ({len(runtime)} and {len(dev)} pins)\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
