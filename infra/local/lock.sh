#!/bin/sh
# Write the newest versions of all dependencies, with their hashes, to requirements/.
set -eu
cd "$(dirname "$0")/../.."

tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
trap 'exit 1' HUP INT TERM
"${PYTHON:-python3}" -m venv "$tools"
"$tools/bin/pip" install --quiet --disable-pip-version-check uv

compile() {
    group=$1
    shift
    echo "Choosing versions for requirements/$group.txt"
    "$tools/bin/uv" pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-annotate --no-header --group "pyproject.toml:$group" "$@" \
        --output-file "requirements/$group.txt"
}

compile dev
# Those who test, who run it locally and who build images have the same versions.
compile run --constraint requirements/dev.txt
compile service --constraint requirements/dev.txt
