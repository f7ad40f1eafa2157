#!/bin/sh
# All tests, two at a time, with the coverage of every process they start. Called by `make test ARGS=...`, with the
# virtual environment's programs on PATH.
set -eu
coverage erase
status=0
coverage run -m pytest -n 2 --dist worksteal --durations=10 "$@" || status=$?
coverage combine --quiet
coverage report
exit "$status"
