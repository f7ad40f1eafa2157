#!/bin/sh
# Compare the API with the newest release: what old clients send and read must keep its meaning. Called by `make lint`.
set -eu
release=$(git tag --list 'v[0-9]*.[0-9]*.[0-9]*' --sort=-v:refname | head -n 1)
if [ -z "$release" ]; then
    echo "buf breaking: no release tag v*.*.* yet, so there is nothing to compare the API with"
    exit 0
fi
before=$(mktemp -d)
trap 'rm -rf "$before"' EXIT
git archive "$release" buf.yaml protos | tar -x -C "$before"
buf breaking --against "$before"
echo "buf breaking: the API is compatible with $release"
