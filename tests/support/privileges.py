"""Programs that permissions bind, even if root runs the tests."""

from __future__ import annotations

import os
from pathlib import Path

# What lets root read, write and own everything. Root gets its capabilities anew with each program
# it starts, but never more than the bounding set holds.
_ABOVE_PERMISSIONS = "-dac_override,-dac_read_search,-fowner"


def bound_by_permissions(argv: list[str]) -> list[str]:
    """Return the command that runs ``argv`` as this user, and root as if it were nobody special."""
    if os.geteuid() != 0:
        return argv
    return [
        "setpriv",
        f"--bounding-set={_ABOVE_PERMISSIONS}",
        "--inh-caps=-all",
        "--",
        *argv,
    ]


# By which of these a process may read what it is not meant to, best first, and their numbers.
_READING = {"dac_read_search": 2, "dac_override": 1}


def as_nobody(argv: list[str]) -> list[str]:
    """Return the command that runs ``argv`` as an ordinary user, if we are root.

    An interpreter may lie in root's own folders, and a copy of it would be large. So the user is
    allowed to read everything; what he may not do otherwise stays forbidden.
    """
    if os.geteuid() != 0:
        return argv
    bounds = int(Path("/proc/self/status").read_text().split("CapBnd:")[1].split()[0], 16)
    reading = next(name for name, number in _READING.items() if bounds >> number & 1)
    return [
        "setpriv",
        *("--reuid=nobody", "--regid=nogroup", "--clear-groups"),
        f"--bounding-set=-all,+{reading}",
        f"--inh-caps=-all,+{reading}",
        f"--ambient-caps=-all,+{reading}",
        "--",
        *argv,
    ]
