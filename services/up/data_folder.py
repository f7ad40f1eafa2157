"""The data folder: everything that `up` keeps between two starts, and the lock that only one `up` can hold.

    .taskstate/
      lock       held by the running `up`; contains its pid
      id         made once; tells this folder from another one at the same path later
      secret     password of the embedded servers (they listen on 127.0.0.1, where other users of the machine are too)
      connections.env   while everything runs: where Redis and TaskState are, for `taskstate worker` beside it
      location   only if the servers' folders had to go elsewhere (see `_servers_elsewhere`)
      logs/      one bounded log file per part
      postgres/  redis/  binaries/

Only what is made here is ever given another owner or mode; folders that were there before are left as they are.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path

from services.up.account import Account, account_for, can_reach
from services.up.problem import REFUSED, CannotStartError

# Where servers live when their account cannot reach the data folder, in order of preference.
ELSEWHERE = (Path("/var/lib/taskstate"), Path("/var/tmp/taskstate"))  # noqa: S108 - ownership is checked before use


@dataclass(frozen=True)
class DataFolder:
    """An opened and locked data folder. The lock lasts until `close()` or the end of the process."""

    path: Path
    servers: Path
    account: Account | None
    password: str
    lock_descriptor: int

    @property
    def logs(self) -> Path:
        """Folder of the parts' log files."""
        return self.path / "logs"

    def server_folder(self, name: str) -> Path:
        """Return a private folder below `servers` that belongs to the servers' account, made if it is missing."""
        folder = self.servers / name
        if not folder.exists():
            folder.mkdir(mode=0o700)
            give_to(self.account, folder)
        return folder

    def close(self) -> None:
        """Let go of the lock."""
        os.close(self.lock_descriptor)


def open_data_folder(path: Path) -> DataFolder:
    """Make the folder if needed, lock it, and find out where and as whom its servers run.

    Raises CannotStartError (exit code 4) if it cannot be written or another `up` holds it.
    """
    path = Path(os.path.abspath(path.expanduser()))  # noqa: PTH100 - resolve() would show a path nobody typed
    try:
        _make(path)
        lock = _lock(path)
    except OSError as error:
        raise CannotStartError(
            f"Data folder {path} cannot be written ({error.strerror}): choose another with --data-dir.", REFUSED
        ) from error
    try:
        identity = _kept_secret(path / "id")
        password = _kept_secret(path / "secret")
        (path / "logs").mkdir(exist_ok=True)
        servers, account = _servers(path, identity)
    except OSError as error:
        os.close(lock)
        raise CannotStartError(f"Data folder {path} cannot be used: {error}.", REFUSED) from error
    except CannotStartError:
        os.close(lock)
        raise
    return DataFolder(path, servers, account, password, lock)


def give_to(account: Account | None, path: Path) -> None:
    """Make the servers' account the owner of something that we have just made."""
    if account is not None:
        os.chown(path, account.uid, account.gid, follow_symlinks=False)


def _make(path: Path) -> None:
    if path.is_dir():
        return
    path.mkdir(parents=True)
    # The servers' account must pass through, but nobody has to list it. Ours to change: we have just made it.
    path.chmod(0o711 if os.geteuid() == 0 else 0o700)


def _lock(path: Path) -> int:
    descriptor = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 20, 0).decode(errors="replace").strip() or "unknown"
        os.close(descriptor)
        raise CannotStartError(
            f"Data folder {path} is in use by another taskstate up (pid {holder}): stop it, or choose another folder "
            "with --data-dir.",
            REFUSED,
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def _kept_secret(file: Path) -> str:
    """Read a random text that is made at the first start and kept, readable by us alone."""
    if not file.exists():
        fresh = file.with_name(f"{file.name}.new")
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(secrets.token_hex(16))
        # Renamed when whole: a kill in between must not leave an empty password behind.
        fresh.replace(file)
    return file.read_text().strip()


def _servers(path: Path, identity: str) -> tuple[Path, Account | None]:
    """Return the folder that holds postgres/ and redis/, and the account that owns them."""
    location = path / "location"
    servers = Path(location.read_text().strip()) if location.exists() else path
    account = account_for(servers / "postgres")
    if account is None or (servers != path and servers.is_dir()) or can_reach(account, path):
        return servers, account
    servers = _servers_elsewhere(path, identity)
    location.write_text(f"{servers}\n")
    return servers, account


def _servers_elsewhere(path: Path, identity: str) -> Path:
    """Make a folder that the servers' account can reach, for a data folder that it cannot (a 0700 parent of root's).

    Its name depends on the data folder's path and on its `id`: a new data folder at an old path starts empty.
    """
    name = hashlib.sha256(f"{path}\0{identity}".encode()).hexdigest()[:16]
    causes = []
    for parent in ELSEWHERE:
        try:
            for folder in (parent, parent / name):
                folder.mkdir(mode=0o711, exist_ok=True)
                _refuse_if_not_ours(folder)
        except OSError as error:
            causes.append(f"{parent}: {error.strerror or error}")
        else:
            return parent / name
    raise CannotStartError(
        f"The user who runs PostgreSQL can neither reach {path} nor a folder elsewhere ({'; '.join(causes)}).", REFUSED
    )


def _refuse_if_not_ours(folder: Path) -> None:
    """A folder that somebody else put into a world-writable parent, or can write to, is not to be trusted."""
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise PermissionError(1, f"{folder} is there already and is not ours")
