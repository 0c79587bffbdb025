"""Files that carry a checksum of themselves, so that every damaged byte is noticed, and the tensors in them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from .atomic import write_atomically
from .errors import Damaged
from .reading import cannot_read, contents, no_more_than

TRIES = 3  # reads of a file that keeps changing, before giving up
COURSE = ".course.safetensors"  # the ending of snapshots taken during training, instead of .safetensors


def canonical(data: Any) -> str:
    """JSON text that is the same for the same data."""
    # Keys of cells are hashes of this text: any change here changes them all.
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(data: Any) -> str:
    """SHA-256 of the canonical JSON of ``data``, in hex."""
    return hashlib.sha256(canonical(data).encode()).hexdigest()


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Write ``data`` with a checksum of itself."""
    sealed = {**data, "sha256": digest(data)}
    text = json.dumps(sealed, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_atomically(path, lambda temporary: _write_bytes(temporary, text.encode("utf-8")))


def _write_bytes(path: Path, content: bytes) -> None:
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

    def parse(raw: bytes) -> dict[str, Any]:
        data = json.loads(raw.decode("utf-8"))
        if data.pop("sha256") != digest(data):
            raise ValueError("its contents do not match its checksum")
        return dict(data)

    return _read_and_parse(path, parse, no_more_than(_LARGEST_JSON))


_LARGEST_JSON = 64 * 2**20  # bytes; our records have some thousand
_LARGEST_HEADER = 100 * 10**6  # bytes; the format's own bound
_NOT_OURS = (ValueError, LookupError, TypeError, AttributeError, RecursionError, SafetensorError)
T = TypeVar("T")


def _read_and_parse(
    path: Path,
    parse: Callable[[bytes], T],
    check: Callable[[BinaryIO, int], None],
    read: Callable[[BinaryIO], bytes] = lambda stream: stream.read(),
) -> T:
    """The parsed file. A file that cannot be opened is not damaged, nor is one that is just being replaced."""
    before: object = None
    for _ in range(TRIES):
        raw = b""
        try:
            raw = contents(path, check, read)
            return parse(raw)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise FileNotFoundError(f"no file {path}") from error
        except IsADirectoryError as error:
            raise _damaged(path, error) from error
        except (OSError, MemoryError) as error:
            raise cannot_read(path, error) from error
        except _NOT_OURS as error:
            # Read again: a copy or a mirror, which do not write atomically, may have written half of the file so far.
            found = raw, str(error)
            if found == before:
                raise _damaged(path, error) from error
            before = found
    raise cannot_read(path, OSError("it changes while it is read"))


def _check_length(file: BinaryIO, size: int) -> None:
    """Raise ValueError unless a safetensors file is as long as its header says: so a huge other file is never read."""
    length = int.from_bytes(file.read(8), "little")
    if not 2 <= length <= min(size - 8, _LARGEST_HEADER):
        raise ValueError(f"its header would have {length} of {size} bytes")
    entries = json.loads(file.read(length).decode("utf-8"))
    ends = [entry["data_offsets"][1] for name, entry in entries.items() if name != "__metadata__"]
    if (declared := 8 + length + max(ends, default=0)) != size:
        raise ValueError(f"it has {size} bytes, its header speaks of {declared}")


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

    # Not with safetensors' own writer: it uses a temporary name of its own, which a kill would leave behind.
    content = _in_order(save(plain, header))
    write_atomically(path, lambda temporary: _write_bytes(temporary, content))


def _in_order(raw: bytes) -> bytes:
    """A safetensors file whose header has its words in alphabetical order, so that equal contents are equal bytes.

    Safetensors writes the metadata in whatever order its hash table has, another one in every process.
    """
    length = int.from_bytes(raw[:8], "little")
    header = json.dumps(json.loads(raw[8 : 8 + length]), sort_keys=True, separators=(",", ":")).encode()
    # Spaces behind it, as safetensors does: tensors begin at a multiple of eight bytes.
    header = header.ljust(-(-len(header) // 8) * 8)
    return len(header).to_bytes(8, "little") + header + raw[8 + length :]


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

    def parse(raw: bytes) -> tuple[dict[str, Tensor], dict[str, Any]]:
        # The format has no order. By name, so that every reader meets the tensors in the same order.
        tensors = dict(sorted(load(raw).items()))
        header, metadata = _header(raw)
        seals = tensors_digest(tensors), digest(metadata)
        if seals != (header["sha256"], header["sha256_of_metadata"]):
            raise ValueError("its contents do not match its checksum")
        return tensors, metadata

    return _read_and_parse(path, parse, _check_length)


def read_metadata(path: Path) -> dict[str, Any]:
    """The metadata alone of what :func:`write_tensors` wrote, without reading the tensors: theirs are not checked.

    Raises
    ------
    FileNotFoundError, StoreError, Damaged
        As :func:`read_tensors`.
    """

    def parse(raw: bytes) -> dict[str, Any]:
        header, metadata = _header(raw)
        if digest(metadata) != header["sha256_of_metadata"]:
            raise ValueError("its metadata do not match their checksum")
        return metadata

    def head(stream: BinaryIO) -> bytes:
        length = stream.read(8)
        return length + stream.read(int.from_bytes(length, "little"))

    return _read_and_parse(path, parse, _check_length, head)


def _header(raw: bytes) -> tuple[dict[str, str], dict[str, Any]]:
    """The words in the header of a safetensors file, and the metadata among them."""
    # The file begins with the header: its length in eight bytes, then JSON.
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length].decode("utf-8")).get("__metadata__", {})
    return header, dict(json.loads(header["dreamlib"]))


def with_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors, by names of which :func:`below` makes theirs again."""
    return {f"{prefix}{name}": value for name, value in tensors.items()}


def below(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names start with ``prefix``, by the rest of their names.

    A checkpoint is one flat dict of named tensors; tensors that belong together share a prefix.
    """
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
