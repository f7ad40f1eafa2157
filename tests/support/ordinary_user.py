"""Run Python as an ordinary user, also when the tests run as root and live where only root can look.

As root, the user is `nobody`, who may reach neither the interpreter (one below /root) nor the checkout. What it cannot
reach is copied into a folder of the test.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from services.up.account import Account, account_for, can_run
from tests.support.processes import ROOT

_NOT_NEEDED = shutil.ignore_patterns(
    "__pycache__", "mypy*", "ruff*", "buf*", "grpc_tools*", "grpcurl*", "hypothesis*", "test", "idlelib", "config-*"
)


@dataclass(frozen=True)
class OrdinaryUser:
    """How to start a child as an ordinary user: its interpreter, environment, folder, and the account to switch to."""

    python: str
    environment: dict[str, str]
    folder: Path
    account: Account | None
    home: Path

    @property
    def popen_arguments(self) -> dict[str, object]:
        """Keyword arguments for subprocess.Popen."""
        arguments: dict[str, object] = {"env": self.environment, "cwd": self.folder}
        if self.account is not None:
            arguments |= {"user": self.account.uid, "group": self.account.gid, "extra_groups": []}
        return arguments


def ordinary_user(reachable: Path) -> OrdinaryUser:
    """Prepare an ordinary user whose home is below `reachable`, a folder that everyone can enter."""
    account = account_for(Path("/no/earlier/server"))
    home = reachable / "home"
    home.mkdir(mode=0o700)
    environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    if account is None:
        return OrdinaryUser(sys.executable, {**os.environ, **environment}, ROOT, None, home)
    os.chown(home, account.uid, account.gid)
    packages, tree = _site_packages(account, reachable), _tree(account, reachable)
    environment["PYTHONPATH"] = os.pathsep.join(map(str, (tree, tree / "sdk" / "python", packages)))
    python = _python(account, reachable, environment)
    return OrdinaryUser(python, environment, tree, account, home)


def _python(account: Account, reachable: Path, environment: dict[str, str]) -> str:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for candidate in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        # The very same version: what is installed depends on it.
        probe = f"import ctypes, sys; sys.exit(sys.version_info[:3] != {sys.version_info[:3]})"
        if can_run(account, [candidate, "-c", probe]):
            return candidate
    copy, source = reachable / "python", Path(sys.base_prefix)
    (copy / "bin").mkdir(parents=True)
    shutil.copy(Path(sys.executable).resolve(), copy / "bin" / version)
    standard_library = Path(sysconfig.get_path("stdlib"))
    ignored = shutil.ignore_patterns("site-packages", "__pycache__", "test", "idlelib", "config-*")
    shutil.copytree(standard_library, copy / standard_library.relative_to(source), ignore=ignored)
    for library in (source / "lib").glob("libpython*.so*"):
        shutil.copy(library, copy / "lib" / library.name)
    environment["LD_LIBRARY_PATH"] = str(copy / "lib")
    return str(copy / "bin" / version)


def _site_packages(account: Account, reachable: Path) -> Path:
    packages = Path(sysconfig.get_path("purelib"))
    if can_run(account, ["/bin/cat", str(packages / "redis" / "__init__.py")]):
        return packages
    return Path(shutil.copytree(packages, reachable / "site-packages", ignore=_NOT_NEEDED))


def _tree(account: Account, reachable: Path) -> Path:
    if can_run(account, ["/bin/cat", str(ROOT / "services" / "__init__.py")]):
        return ROOT
    for part in ("services", "sdk", "workers", "tests"):
        shutil.copytree(ROOT / part, reachable / "checkout" / part, ignore=_NOT_NEEDED)
    return reachable / "checkout"
