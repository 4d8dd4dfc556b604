"""JSON held against the schemas that ``pgvow schema`` prints."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path
from typing import Any


def conforming(document: Any) -> Any:
    """Return a document that conforms to its schema."""
    folder = os.environ.get("PGVOW_COLLECT_JSON")
    if folder:
        (Path(folder) / f"{uuid.uuid4().hex}.json").write_text(json.dumps(document))
    return document
