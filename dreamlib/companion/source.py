"""A name for this very code: results that tests judge lie under it, so that they are never those of other code.

``python -m dreamlib.companion.source`` prints it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]  # dreamlib, all of it
SOURCES = (".py", ".cpp")


def source_hash(package: Path = PACKAGE) -> str:
    """Twelve hexadecimal digits of the SHA-256 over names and contents of all sources of a package.

    Parameters
    ----------
    package : Path
        Its folder; the same sources give the same digits wherever they lie.
    """
    total = hashlib.sha256()
    found = (path for path in package.rglob("*") if path.suffix in SOURCES)
    for path in sorted(found, key=lambda path: path.relative_to(package).as_posix()):
        text = path.read_bytes()
        total.update(f"{path.relative_to(package).as_posix()} {len(text)}\n".encode() + text)
    return total.hexdigest()[:12]


if __name__ == "__main__":
    print(source_hash())
