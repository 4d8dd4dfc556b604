#!/bin/sh
# Make a virtual environment with pgvow and everything its tests need.
# uv if it is installed; else venv and pip; else virtualenv; else say which package to install.
set -eu
venv=$1

say() { printf '%s\n' "$*" >&2; }

if command -v uv >/dev/null 2>&1; then
    [ -x "$venv/bin/python" ] || uv venv --quiet --python '>=3.11' "$venv"
    exec uv pip install --quiet --python "$venv/bin/python" --editable '.[dev]'
fi

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

python=
for name in python3 python3.14 python3.13 python3.12 python3.11; do
    if new_enough "$name"; then
        python=$name
        break
    fi
done
if [ -z "$python" ]; then
    say "pgvow needs Python 3.11 or newer; none is on PATH."
    exit 1
fi

if ! new_enough "$venv/bin/python" || ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    rm -rf "$venv"
    # Debian's Python comes without the half of venv that brings pip.
    "$python" -c 'import ensurepip' 2>/dev/null || sh tools/system_packages.sh python3-venv || true
    if ! log=$("$python" -m venv "$venv" 2>&1); then
        rm -rf "$venv"
        if "$python" -m virtualenv --version >/dev/null 2>&1; then
            "$python" -m virtualenv --quiet "$venv"
        else
            say "$log"
            say ""
            say "This Python has no working venv. Install the one package that brings it, then run make again:"
            say "  Debian, Ubuntu:  apt install python3-venv"
            exit 1
        fi
    fi
fi
exec "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
