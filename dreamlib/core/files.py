"""Files that carry a checksum of themselves, so that every damaged byte is noticed, and the tensors in them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from .atomic import write_atomically
from .errors import Damaged, StoreError

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
    write_atomically(path, lambda temporary: _put(temporary, text.encode("utf-8")))


def _put(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def read_json(path: Path) -> dict[str, Any]:
    """Read what :func:`write_json` wrote.

    Raises
    ------
    FileNotFoundError
        If it is not there.
    StoreError
        If it cannot be opened.
    Damaged
        If it is no JSON, or does not match its checksum.
    """
    raw = _contents(path)
    try:
        data = json.loads(raw.decode("utf-8"))
        seal = data.pop("sha256")
        if seal != digest(data):
            raise ValueError("its contents do not match its checksum")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _damaged(path, error) from error
    return dict(data)


def _contents(path: Path) -> bytes:
    """The bytes of a file, read once. One that cannot be opened is not damaged."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(f"no file {path}") from error
    except IsADirectoryError as error:
        raise _damaged(path, error) from error
    except OSError as error:
        reason = error.strerror or str(error)
        hint = "read permission for it, a disk that answers, or fewer open files; nothing was changed"
        raise StoreError(f"cannot read {path}: {reason}", hint) from error


def _damaged(path: Path, error: Exception) -> Damaged:
    return Damaged(f"{path} is damaged or not ours: {error!r}", "remove it; it will be computed again")


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

    # Not by the library's own writer: that makes a file of a name of its own first, which a kill would leave behind.
    write_atomically(path, lambda temporary: _put(temporary, save(plain, header)))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what :func:`write_tensors` wrote.

    Raises
    ------
    FileNotFoundError
        If it is not there.
    StoreError
        If it cannot be opened.
    Damaged
        If it is damaged or of another origin.
    """
    raw = _contents(path)
    try:
        # The format promises no order: by name, so that whoever goes through the tensors does it alike each time.
        tensors = dict(sorted(load(raw).items()))
        # The header stands in front: its length in eight bytes, then JSON.
        length = int.from_bytes(raw[:8], "little")
        header = json.loads(raw[8 : 8 + length].decode("utf-8")).get("__metadata__", {})
        metadata = dict(json.loads(header["dreamlib"]))
        seals = tensors_digest(tensors), digest(metadata)
        if seals != (header["sha256"], header["sha256_of_metadata"]):
            raise ValueError("its contents do not match its checksum")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, SafetensorError) as error:
        raise _damaged(path, error) from error
    return tensors, metadata


def below(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names start with ``prefix``, by the rest of their names.

    A checkpoint is one flat dict of named tensors; what belongs together has a prefix in common.
    """
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
