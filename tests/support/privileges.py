"""Programs that permissions bind, whoever runs the tests."""

from __future__ import annotations

import os

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
