"""What Hugging Face's datasets reads in exports: python hugging_face.py FOLDER

It runs in an environment of its own, without dreamlib, and prints JSON.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from datasets import load_dataset


def told(found: Any) -> dict[str, Any]:
    """The columns of a data set, images by their pixels."""
    label = found.features["label"]
    return {
        "names": getattr(label, "names", None),
        "columns": sorted(found.features),
        "labels": list(found["label"]),
        "soft": [list(row) for row in found["soft_label"]] if "soft_label" in found.features else None,
        "pixels": [hashlib.sha256(picture.tobytes()).hexdigest() for picture in found["image"]],
        "sizes": sorted({picture.size for picture in found["image"]}),
    }


def main(folder: Path) -> None:
    found = {
        "parquet": load_dataset("parquet", data_files=str(folder / "set.parquet"), split="train"),
        "imagefolder": load_dataset("imagefolder", data_dir=str(folder / "images"), split="train"),
        "folder": load_dataset(str(folder / "images"), split="train"),
    }
    print(json.dumps({name: told(one) for name, one in found.items()}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
