"""Distilled sets written for use elsewhere: for this library again, as pictures, for Hugging Face, for DD-Ranking."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..core.atomic import cannot_write, write_atomically, write_text
from ..core.errors import BadValue, StoreError, unknown
from ..core.files import read_tensors, with_prefix, write_json, write_tensors
from ..core.places import path_of
from ..core.reading import is_folder, present
from ..data import Normalisation, folder
from ..data.whitening import Whitening
from .sets import ANSWERS, NOTES, WHITENING, DistilledSet

FORMATS = ("safetensors", "images", "parquet", "ddranking")
FOLDERS = ("images", "ddranking")  # formats that are folders, and hold their card
CARD = "README.md"  # as the Hub calls it
WRITTEN = "<!-- a card that dreamlib wrote -->"  # so that it may be replaced

# What DD-Ranking calls a data set, and what it normalises its test images with: one pair for both CIFARs.
_CIFAR = Normalisation("ddranking", (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))
_IMAGENET = Normalisation("ddranking", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
LEAST = 1e-30  # of a probability whose logarithm is taken


def form_of(target: str | Path, form: str = "") -> str:
    """The format that ``target`` is written in: what it ends in says it, or ``form``, where that is not clear.

    Raises
    ------
    UnknownName, BadValue
        For a format that there is not, an ending that says nothing, or one that says another format than ``form``.
    """
    target = path_of(target)
    endings = {".safetensors": "safetensors", ".parquet": "parquet", "": "images"}
    ending = "" if is_folder(target) else target.suffix.lower()
    if form and form not in FORMATS:
        raise unknown("export format", form, FORMATS)
    if not form and ending not in endings:
        raise BadValue(
            f"{target} ends in {ending}; expected .safetensors, .parquet, or a folder for images",
            "--format images",
        )
    if form and ending and endings.get(ending, form) != form:
        raise BadValue(f"{target} ends in {ending}, and the format is {form}", f"{target.with_suffix('')}")
    return form or endings[ending]


def export(
    distilled: DistilledSet,
    target: str | Path,
    form: str = "",
    *,
    overwrite: bool = False,
    card: str = "",
) -> Path:
    """Write a distilled set for use elsewhere; :func:`~.sets.load_set` reads it again, but for ``"ddranking"``.

    Parameters
    ----------
    distilled : DistilledSet
        What to write.
    target : path
        A file for ``safetensors`` and ``parquet``, a folder for ``images`` and ``ddranking``.
    form : str
        By default what ``target`` ends in says it; see :func:`form_of`. ``"safetensors"``: float32 images in unit
        space (decoded, and as stored) and labels, lossless; equal sets are equal bytes. ``"images"``: PNG files, one
        folder per class, as torchvision's ImageFolder reads them; the folders bear the names of the classes, with
        numbers in front where their order would not be that of the labels. Where the labels are learned,
        ``metadata.jsonl`` has them in ``soft_label``, as Hugging Face's ``datasets`` reads it. ``"parquet"``: PNG bytes
        and labels as ``datasets`` reads them, learned ones in the column ``soft_label``. Both hold 8 bits per value and
        clamp to [0, 1]. ``"ddranking"``: ``images.pt``, ``labels.pt`` and, where a rate was learned, ``lr.pt``, as
        DD-Ranking takes them; see :func:`for_ddranking`.
    overwrite : bool
        Replace a file that is not an earlier export. A computed set of a results folder, a folder that holds
        something, a device or a pipe are never replaced.
    card : str
        Markdown that says what the set is: ``README.md`` in a folder, ``set.parquet.md`` next to ``set.parquet``.
        Empty: none.

    Returns
    -------
    Path
        What was written.

    Raises
    ------
    UnknownName
        For an unknown ``form``.
    BadValue
        If there is something at ``target`` that is not to be replaced, or the format cannot hold the set.
    StoreError
        If it cannot be written.
    """
    target, form = path_of(target), form_of(target, form)
    _refuse_to_replace(target, form, overwrite)
    beside = target / CARD if form in FOLDERS else target.parent / f"{target.name}.md"
    if card and not overwrite and form not in FOLDERS:
        _refuse_to_replace_card(beside)
    writers: dict[str, Callable[[DistilledSet, Path], None]] = {
        "safetensors": _write_tensors,
        "images": _write_pictures,
        "parquet": _write_parquet,
        "ddranking": _write_ddranking,
    }
    writers[form](distilled, target)
    if card:
        write_text(beside, f"{card.rstrip()}\n\n{WRITTEN}\n")
    return target


def for_ddranking(distilled: DistilledSet) -> dict[str, Tensor]:
    """What DD-Ranking's ``compute_metrics`` takes (release 0.2.0).

    Returns
    -------
    dict of str to Tensor
        ``images``: (N, 3, h, w) float32, normalised with the constants that it normalises test images with, or whitened
        where the set is. ``labels``: (N,) int64. Learned ones are (N, C) float32: real numbers as they are, for
        its criterion ``mse_gt``; probabilities as their logarithms, since its criterion ``sce`` takes the softmax of
        what it is given. ``lr``: (), a learned rate, where the set has one.

    Raises
    ------
    BadValue
        If DD-Ranking does not know the data set or the whitening, or the set has a rate for every step.
    """
    normalisation = distilled.normalisation
    name, own = ddranking_data(distilled)
    if isinstance(normalisation, Whitening):
        if normalisation.kind != "kornia" or distilled.whitened is None:
            raise BadValue(
                f"this set has {normalisation.name}, and DD-Ranking whitens {name} as kornia does",
                "--format safetensors",
            )
        images = distilled.whitened
    else:
        images = own.apply(distilled.images)
    if distilled.rates is not None and distilled.rates.numel() > 1:
        raise BadValue(
            f"this set has rates of its own, {tuple(distilled.rates.shape)} for the steps of its epochs, and "
            "DD-Ranking takes a single one",
            "--format safetensors",
        )
    labels = distilled.labels
    if probable(labels):
        labels = labels.clamp(min=LEAST).log()
    rate = {} if distilled.rates is None else {"lr": distilled.rates.reshape(())}
    return {"images": images, "labels": labels, **rate}


def ddranking_data(distilled: DistilledSet) -> tuple[str, Normalisation]:
    """What DD-Ranking calls the set's data set, and how it normalises its test images.

    Raises
    ------
    BadValue
        If it has no such data set.
    """
    name, shape = str(distilled.about.get("dataset", "")), tuple(distilled.images.shape[1:])
    known: dict[tuple[str, int, tuple[int, ...]], tuple[str, Normalisation]] = {
        ("cifar10", 10, (3, 32, 32)): ("CIFAR10", _CIFAR),
        ("cifar100", 100, (3, 32, 32)): ("CIFAR100", _CIFAR),
    }
    found = known.get((name.partition("@")[0], len(distilled.classes), shape))
    if found is None and ":" in name and (len(distilled.classes), shape) == (200, (3, 64, 64)):
        found = "TinyImageNet", _IMAGENET
    if found is None:
        told = f"of {name}" if name else "whose data set is not known"
        raise BadValue(
            f"a set {told}, with {len(distilled.classes)} classes of {' x '.join(map(str, shape))}: DD-Ranking judges "
            "sets of all classes of CIFAR-10, CIFAR-100 and TinyImageNet",
            "--format images, parquet or safetensors",
        )
    return found


def probable(labels: Tensor) -> bool:
    """Whether labels are learned probabilities: rows of numbers from 0 on whose sum is 1."""
    if not labels.is_floating_point():
        return False
    sums = labels.sum(1)
    return bool((labels >= 0).all()) and torch.allclose(sums, torch.ones_like(sums), atol=1e-4)


def _write_tensors(distilled: DistilledSet, target: Path) -> None:
    tensors = {"images": distilled.images, "labels": distilled.labels, "stored": distilled.stored}
    steps = None if distilled.steps is None else torch.tensor(distilled.steps)
    more = {"rates": distilled.rates, "steps": steps, "whitened": distilled.whitened}
    tensors |= {name: value for name, value in more.items() if value is not None}
    tensors |= with_prefix(WHITENING, distilled.normalisation.tensors())
    about = {
        **distilled.about,
        "classes": list(distilled.classes),
        "normalisation": distilled.normalisation.about(),
        "space": "unit",
    }
    write_tensors(target, tensors, about)


def _write_pictures(distilled: DistilledSet, target: Path) -> None:
    pictures, labels = _pictures(distilled), distilled.hard_labels.tolist()
    names = folder.class_folders(distilled.classes)
    files = [f"{names[label]}/{number:05d}.png" for number, label in enumerate(labels)]
    for file, picture in zip(files, pictures, strict=True):
        write_atomically(target / file, partial(_write, picture))
    answers = _answers(distilled)
    # A list only of what folders do not say by themselves: answers, and an order, which a rate for every step needs.
    if answers is not None or (distilled.rates is not None and distilled.rates.ndim == 2):
        own = [{}] * len(files) if answers is None else [{ANSWERS: answer} for answer in answers]
        rows = [
            {"file_name": file, "label": label, **more}
            for file, label, more in zip(files, labels, own, strict=True)
        ]
        write_text(target / "metadata.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    write_json(target / NOTES, _notes(distilled))


def _write_parquet(distilled: DistilledSet, target: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    features: dict[str, Any] = {
        "image": {"_type": "Image"},
        "label": {"names": list(distilled.classes), "_type": "ClassLabel"},
    }
    columns = {
        "image": pa.array(
            [{"bytes": picture, "path": None} for picture in _pictures(distilled)],
            type=pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
        ),
        "label": pa.array(distilled.hard_labels.tolist(), type=pa.int64()),
    }
    if (answers := _answers(distilled)) is not None:
        features[ANSWERS] = {"feature": {"dtype": "float32", "_type": "Value"}, "_type": "Sequence"}
        columns[ANSWERS] = pa.array(answers, type=pa.list_(pa.float32()))
    table = pa.table(columns).replace_schema_metadata(
        {
            "huggingface": json.dumps({"info": {"features": features}}),
            NOTES: json.dumps(_notes(distilled)),
            "dreamlib": "export",
        }
    )
    write_atomically(target, lambda file: pq.write_table(table, file))


def _write_ddranking(distilled: DistilledSet, target: Path) -> None:
    for name, value in for_ddranking(distilled).items():
        # A clone: a view would be saved with all that it is a view of.
        write_atomically(target / f"{name}.pt", partial(torch.save, value.detach().cpu().clone()))


def _notes(distilled: DistilledSet) -> dict[str, Any]:
    """What pictures do not show, as JSON. A float32 number survives that: it is written with all its digits."""
    rates = {} if distilled.rates is None else {"rates": distilled.rates.tolist()}
    steps = {} if distilled.steps is None else {"steps": distilled.steps}
    return {
        "classes": list(distilled.classes),
        "normalisation": distilled.normalisation.about(),
        "about": distilled.about,
        **rates,
        **steps,
    }


def _answers(distilled: DistilledSet) -> list[list[float]] | None:
    """Learned labels, a list of numbers for each image; None where labels are classes."""
    return distilled.labels.tolist() if distilled.labels.is_floating_point() else None


def _pictures(distilled: DistilledSet) -> list[bytes]:
    """The images as PNG."""
    if isinstance(distilled.normalisation, Whitening):
        raise BadValue(
            f"this set has {distilled.normalisation.name}, from which pictures in 8 bits do not lead back",
            "--format safetensors",
        )
    return [_png(image) for image in distilled.bytes()]


def _refuse_to_replace(target: Path, form: str, overwrite: bool) -> None:
    """Raise BadValue unless nothing is lost: there is nothing, or an earlier export, or one is told to replace it."""
    try:
        if form in FOLDERS:
            if any(target.iterdir()):
                raise BadValue(f"{target} exists and is not an empty folder", "choose another --to")
            return
    except FileNotFoundError:
        return
    except NotADirectoryError as error:
        raise BadValue(f"{target} exists and is not an empty folder", "choose another --to") from error
    except OSError as error:
        raise cannot_write(target, error) from error
    if not present(target):
        return  # or no regular file, which no writer replaces
    kind = _kind_of(target)
    if kind == "computed":
        raise BadValue(f"{target} is what was computed, not a copy of it", "choose another --to")
    if kind != form and not overwrite:
        raise BadValue(f"{target} exists and is no {form} that export wrote", "another --to, or --overwrite")


def _refuse_to_replace_card(card: Path) -> None:
    """Raise BadValue if there is something where the card of a file goes that is none."""
    if present(card) and WRITTEN.encode() not in card.read_bytes():
        raise BadValue(f"{card} exists, and the set's card would replace it", "another --to, or --overwrite")


def _kind_of(file: Path) -> str:
    """The format of an earlier export; "computed" for what a results folder holds, "" for anything else."""
    with suppress(StoreError, FileNotFoundError):
        about = read_tensors(file)[1]
        return "safetensors" if about.get("space") == "unit" else "computed"
    import pyarrow as pa
    import pyarrow.parquet as pq

    with suppress(pa.ArrowException, OSError):
        return "parquet" if b"dreamlib" in (pq.read_schema(file).metadata or {}) else ""
    return ""


def _png(image: Tensor) -> bytes:
    from PIL import Image

    array = image.permute(1, 2, 0).cpu().numpy()
    picture = Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()


def _write(data: bytes, path: Path) -> None:
    path.write_bytes(data)
