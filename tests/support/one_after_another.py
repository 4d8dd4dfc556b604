"""Run several commands of pgvow in one process: standard input has a list of argument lists.

Standard output is JSON: for each command its exit code, standard output and standard error.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from typing import Any

from pgvow.cli import main


def run(words: list[str]) -> dict[str, Any]:
    """Run one command with files for its standard output and standard error."""
    sys.argv = ["pgvow", *words]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        kept = [os.dup(1), os.dup(2)]
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        try:
            code = main()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, each in enumerate(kept, 1):
                os.dup2(each, number)
                os.close(each)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode())
    return {"code": code, "out": texts[0], "err": texts[1]}


if __name__ == "__main__":
    print(json.dumps([run(words) for words in json.load(sys.stdin)]))  # noqa: T201
