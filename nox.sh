#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs nox with everything that it needs, on a machine that has Python 3.11 or later and nothing else.
# Usage: ./nox.sh [nox arguments], for example ./nox.sh -s conformance
set -eu
cd "$(dirname "$0")"
venv=.venv
if [ ! -x "$venv/bin/nox" ]; then
    driver=
    for candidate in python3.13 python3.12 python3.11 python3 python; do
        if command -v "$candidate" >/dev/null 2>&1 &&
            "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            driver=$candidate
            break
        fi
    done
    if [ -z "$driver" ]; then
        echo "nox.sh: Python 3.11 or later is needed and was not found." >&2
        echo "  Debian 12 and Ubuntu 24.04: apt-get install python3 python3-venv" >&2
        echo "  with pyenv:                 pyenv install 3.11 (see .python-version)" >&2
        exit 2
    fi
    if ! "$driver" -m venv "$venv"; then
        rm -rf "$venv"
        echo "nox.sh: $driver cannot make a virtual environment; on Debian and Ubuntu: apt-get install python3-venv" >&2
        exit 2
    fi
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check 'nox[uv]>=2025.2'
fi
PATH="$PWD/$venv/bin:$PATH" exec "$venv/bin/nox" "$@"
