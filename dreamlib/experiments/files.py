"""Files that carry a checksum of themselves, so that every damaged byte is noticed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..atomic import write_atomically
from ..errors import StoreError

COURSE = ".course.safetensors"  # in place of .safetensors: a set or a generator along its training


def canonical(data: Any) -> str:
    """JSON text that is the same for the same data."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(data: Any) -> str:
    """SHA-256 of the canonical JSON of ``data``, in hex."""
    return hashlib.sha256(canonical(data).encode()).hexdigest()


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Write ``data`` with a checksum of itself."""
    sealed = {**data, "sha256": digest(data)}
    text = json.dumps(sealed, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_atomically(path, lambda temporary: _put(temporary, text))


def _put(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """Read what :func:`write_json` wrote.

    Raises
    ------
    StoreError
        If the file cannot be read, is no JSON, or does not match its checksum.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        seal = data.pop("sha256")
        if seal != digest(data):
            raise ValueError("its contents do not match its checksum")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _damaged(path, error) from error
    return dict(data)


def _damaged(path: Path, error: Exception) -> StoreError:
    return StoreError(f"{path} is damaged or not ours: {error!r}", "remove it; it will be computed again")


def tensors_digest(tensors: dict[str, Tensor]) -> str:
    """SHA-256 over names, shapes, dtypes and bytes."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].detach().cpu().contiguous()
        total.update(f"{name}{tuple(value.shape)}{value.dtype}".encode())
        total.update(value.numpy().tobytes())
    return total.hexdigest()


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> None:
    """Write named tensors as safetensors, with ``metadata`` (JSON) and checksums of both in the header."""
    # Copies: safetensors refuses tensors that share their memory.
    plain = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    header = {
        "dreamlib": canonical(metadata),
        "sha256": tensors_digest(plain),
        "sha256_of_metadata": digest(metadata),
    }

    def write(temporary: Path) -> None:
        try:
            save_file(plain, temporary, metadata=header)
        except SafetensorError as error:  # that is how it reports what the system refused
            raise OSError(str(error)) from error

    write_atomically(path, write)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what :func:`write_tensors` wrote.

    Raises
    ------
    StoreError
        If the file is missing, damaged or of another origin.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            names = file.keys()
            tensors = {name: file.get_tensor(name) for name in names}
        metadata = dict(json.loads(header["dreamlib"]))
        seals = tensors_digest(tensors), digest(metadata)
        # The first files had only one of the two.
        if seals != (header["sha256"], header.get("sha256_of_metadata", seals[1])):
            raise ValueError("its contents do not match its checksum")
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise _damaged(path, error) from error
    return tensors, metadata
