"""`python -m taskstate.cli`: the `taskstate` command where its script is not on PATH."""

from taskstate.cli import main

if __name__ == "__main__":
    main()
