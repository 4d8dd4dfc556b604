#!/bin/sh
# Install missing Debian packages as root; else name them in one line.
# Without names: the packages that the tests need. Ends with 1 if something stays missing.
set -eu
tests="
    libxml2 libxslt1.1 libssl3 libreadline8 libgssapi-krb5-2 liblz4-1 libzstd1 libossp-uuid16 tzdata
    util-linux procps gcc libc6-dev pgbouncer openssl cron systemd
    zsh fish
"
# The first line is what the PostgreSQL servers of the tests are linked against. The second:
# mount and setpriv, kill, a compiler for the library that makes reads fail, a pooler to be
# refused, certificates, a crontab to write into, and systemd's own judgement of our units.
# The third: shells in which completion is tried.

say() { printf '%s\n' "$*" >&2; }

command -v dpkg-query >/dev/null 2>&1 || exit 0  # not Debian: each test names what it misses
missing=
for package in ${*:-$tests}; do
    # From Debian 13 on some names end in t64, and libreadline8 is provided under another.
    for name in "$package" "${package}t64"; do
        if dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q 'ok installed'; then
            continue 2
        fi
    done
    missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ]; then
    say "Missing:$missing. Tests that need them are skipped; to install them: sudo apt-get install$missing"
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
# If the lists cannot be updated, the present ones may still do.
apt-get update -qq || say "apt-get update failed; trying with the lists of packages that are here"
if ! apt-get install -y -qq --no-install-recommends $missing >/dev/null; then
    say "apt-get could not install:$missing"
    exit 1
fi
