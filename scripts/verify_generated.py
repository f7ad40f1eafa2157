"""Generate the API's code into a temporary folder and compare it with what is committed.

Usage: `python scripts/verify_generated.py PROTO...` from the root of the repository; exit code 1 if they differ.
"""

from __future__ import annotations

import filecmp
import subprocess
import sys
import tempfile
from pathlib import Path

COMMITTED = Path("sdk/python/taskstate/v1")
PATTERNS = ("*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py")


def generate(protos: list[str], target: Path) -> None:
    """Run the generator exactly as `make gen` does, with another target folder."""
    outputs = [f"--{kind}_out={target}" for kind in ("python", "pyi", "grpc_python")]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", "-I", "protos", *outputs, *protos], check=True)


def differences(fresh: Path, committed: Path) -> list[str]:
    """Name the files that are missing, left over or different."""
    names = {path.name for folder in (fresh, committed) for pattern in PATTERNS for path in folder.glob(pattern)}
    _, different, missing = filecmp.cmpfiles(fresh, committed, sorted(names), shallow=False)
    return sorted(different + missing)


def main() -> int:
    """Compare; returns the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        generate(sys.argv[1:], Path(folder))
        wrong = differences(Path(folder) / "taskstate" / "v1", COMMITTED)
    for name in wrong:
        sys.stderr.write(f"{COMMITTED / name} is not what protos/ say: run `make gen` (a left-over file: delete it)\n")
    if not wrong:
        sys.stdout.write("generated code is up to date\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
