#!/bin/sh
# Pin what pyproject.toml asks for, with all that this asks for in turn, and with hashes, in requirements/.
#
#   lock.sh             keep the versions that are there, and choose some for what is new
#   lock.sh --upgrade   choose the newest versions
set -eu
cd "$(dirname "$0")/../.."

tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
trap 'exit 1' HUP INT TERM
"${PYTHON:-python3}" -m venv "$tools"
"$tools/bin/pip" install --quiet --disable-pip-version-check uv

# compile FILE GROUP [OPTION...]
compile() {
    file=requirements/$1.txt
    group=$2
    shift 2
    echo "Choosing versions for $file"
    mkdir -p "$(dirname "$file")"
    "$tools/bin/uv" pip compile --quiet --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-annotate --no-header --group "pyproject.toml:$group" "$@" --output-file "$file"
}

compile dev dev --universal "$@"
# Those who test, who run it and who pack it have the same versions.
compile run run --universal --constraint requirements/dev.txt
# Where functions run there is one platform. So the files have no conditions, which pip would judge by its own Python.
for group in auth upload convert notify download sweep health page; do
    compile "functions/$group" "$group" --python-platform x86_64-manylinux_2_28 --constraint requirements/dev.txt
done
for group in gateway host triggers setup web; do
    compile "infra/$group" "$group" --python-platform x86_64-manylinux_2_28 --constraint requirements/dev.txt
done
