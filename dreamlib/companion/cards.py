"""The card of a distilled set: a README as the Hub reads it, made of what the set's file and its records say."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from ..core.errors import BadValue
from ..data.splits import origin
from ..data.whitening import Whitening
from ..distillation.exports import ddranking_data, probable
from ..distillation.sets import ANSWERS, DistilledSet
from .report.verdicts import decide
from .report.words import data_set, number, plural

# Of the data, by the Hub's name for it and in words. Each is what the data's own page, or who first published it, says.
LICENCES = {
    "digits": ("cc-by-4.0", "CC BY 4.0 (E. Alpaydin and C. Kaynak, UCI Machine Learning Repository)"),
    "mnist": ("cc-by-sa-3.0", "CC BY-SA 3.0 (Y. LeCun and C. Cortes)"),
    "fashionmnist": ("mit", "MIT (Zalando SE)"),
    "svhn": ("other", "for non-commercial use only (Y. Netzer and others)"),
    "cifar10": ("unknown", "none is stated by its authors (A. Krizhevsky)"),
    "cifar100": ("unknown", "none is stated by its authors (A. Krizhevsky)"),
}
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"))


def written(
    distilled: DistilledSet,
    title: str,
    records: Sequence[Mapping[str, Any]],
    command: str = "",
    form: str = "",
    file: str = "",
) -> str:
    """The card as Markdown, with the front matter of a data set of the Hub.

    Parameters
    ----------
    distilled : DistilledSet
        The set.
    title : str
        Its name.
    records : sequence of dict
        Of all sets that were made and judged in the same way, one for each.
    command : str
        What makes it again; empty: not known.
    form, file : str
        Format and name of an export.
    """
    sections = [
        _front(distilled, title, form, file),
        f"# {title}",
        _summary(distilled),
        "## What it is worth\n\n" + _worth(distilled, records, command),
        "## How it was made\n\n" + _made(distilled),
        *([f"## Use\n\n{use}"] if (use := _use(distilled, title, form, file)) else []),
        "## Made again\n\n"
        + (f"```\n{command}\n```" if command else "The set does not say of which cell it is."),
        "## Licence\n\n" + _licence(distilled),
    ]
    return "\n\n".join(sections) + "\n"


def _front(distilled: DistilledSet, title: str, form: str, file: str) -> str:
    """The front matter, in the part of YAML that is JSON: quoted text needs no further care."""
    about, count = distilled.about, len(distilled)
    matter: dict[str, Any] = {
        "license": _known(distilled)[0],
        "task_categories": ["image-classification"],
        "size_categories": [next((word for most, word in SIZES if count < most), "100K<n<1M")],
        "tags": ["dataset-distillation", "dreamlib", *([about["method"]] if about.get("method") else [])],
        "pretty_name": title,
    }
    if form == "parquet":
        matter["configs"] = [{"config_name": "default", "data_files": [{"split": "train", "path": file}]}]
    lines = [f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in matter.items()]
    return "\n".join(["---", *lines, "---"])


def _summary(distilled: DistilledSet) -> str:
    about, shape = distilled.about, " x ".join(map(str, distilled.images.shape[1:]))
    method = about.get("label") or about.get("method")
    made = f"distilled from {_data(distilled)}" + (f" by {method}" if method else "")
    return (
        f"A synthetic training set of {len(distilled)} images ({shape}) of {len(distilled.classes)} classes, {made}. "
        "Networks are trained on it instead of on the data set."
    )


def _data(distilled: DistilledSet) -> str:
    name = distilled.about.get("dataset")
    return data_set(str(name)) if name else "a data set that it does not name"


def _worth(distilled: DistilledSet, records: Sequence[Mapping[str, Any]], command: str) -> str:
    if "drawn" in distilled.about:
        return (
            "These images were drawn once from a generator. What is judged is the generator, not this draw."
        )
    if not records:
        return "Not measured here." + (f" `{command}` does." if command else "")
    means = {int(one["seed"]): sum(one["accuracies"]) / len(one["accuracies"]) for one in records}
    found, seed, how = decide(means.values()), int(distilled.about["seed"]), distilled.about["evaluation"]
    seeds, networks = ", ".join(map(str, means)), plural(len(records[0]["accuracies"]), "network")
    if found.low is None:
        told = f"Mean {number(found.difference)} %, {found.ground()}."
    else:
        between = f"[{number(found.low)}, {number(found.high)}]"
        told = f"Mean {number(found.difference)} %, 95 % interval {between} (Student's t) over {found.sets} sets."
    mine = f" This set, of seed {seed}: {number(means[seed])} %." if seed in means else ""
    return (
        f"Accuracy on all test images of {_data(distilled)}, after the last epoch. {told}{mine}\n\n"
        f"Judged by protocol `{how['protocol']}`, {networks} on each set (seeds {seeds}), profile "
        f"`{distilled.about['profile']}`."
    )


def _made(distilled: DistilledSet) -> str:
    about, normalisation = distilled.about, distilled.normalisation
    mean, std = (
        ", ".join(f"{value:g}" for value in values) for values in (normalisation.mean, normalisation.std)
    )
    rows = {
        "method": f"{about.get('label', '')} (`{about['method']}`)" if about.get("method") else None,
        "data set": _data(distilled),
        "seed": about.get("seed"),
        "profile": about.get("profile"),
        "images": f"{len(distilled)}, {distilled.clipped:.1%} of the pixels outside [0, 1]",
        "classes": ", ".join(f"{number} {_safe(name)}" for number, name in enumerate(distilled.classes)),
        "labels": _labels(distilled),
        "learned rate": _rates(distilled),
        "steps of training": distilled.steps,
        "normalisation": f"`{normalisation.name}`: mean {mean}; std {std}",
        "whitening": normalisation.kind if isinstance(normalisation, Whitening) else "none",
        "checksum of what is stored": about.get("set_sha256"),
    }
    table = [f"| {name} | {value} |" for name, value in rows.items() if value is not None]
    parts = ["\n".join(["| | |", "|---|---|", *table])]
    if sources := about.get("sources"):
        listed = [f"- `{name}`: {text}" for name, text in sources.items()]
        parts.append("Where its settings come from:\n\n" + "\n".join(listed))
    if differs := about.get("differs"):
        parts.append("Where it is not what is published:\n\n" + "\n".join(f"- {text}" for text in differs))
    if recipe := about.get("recipe"):
        text = json.dumps(recipe, indent=1, ensure_ascii=False)
        parts.append(f"<details><summary>The whole recipe</summary>\n\n```json\n{text}\n```\n\n</details>")
    return "\n\n".join(parts)


def _safe(text: str) -> str:
    """A name that ends no cell and no line of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def _labels(distilled: DistilledSet) -> str:
    if not distilled.labels.is_floating_point():
        return "classes"
    kind = "probabilities" if probable(distilled.labels) else "real numbers"
    return f"learned: {kind}, {distilled.labels.shape[1]} for each image"


def _rates(distilled: DistilledSet) -> str | None:
    if (rates := distilled.rates) is None:
        return None
    if rates.numel() == 1:
        return f"{float(rates):g}"
    epochs, steps = rates.shape
    each = len(distilled) // steps
    return (
        f"one for each of {epochs} x {steps} steps, whose batches are the images in order, {each} at a time"
    )


def _use(distilled: DistilledSet, title: str, form: str, file: str) -> str:
    """How a set, or its export, is read."""
    ours = _python("from dreamlib import load_set", "", f'distilled = load_set("{file or title}")')
    if form == "ddranking":
        return _ddranking(distilled, file)
    if form in ("", "safetensors"):
        return ours
    soft, where = distilled.labels.is_floating_point(), "`dreamlib.json`"
    if form == "parquet":
        where = "the schema's metadata, under `dreamlib.json`"
        reading = [
            "from datasets import load_dataset",
            "",
            f'images = load_dataset("parquet", data_files="{file}", split="train")',
        ]
    else:
        reading = [
            "from datasets import load_dataset",
            "from torchvision.datasets import ImageFolder",
            "",
            f'images = load_dataset("imagefolder", data_dir="{file}", split="train")',
            f'images = ImageFolder("{file}")',
        ]
    said = ["Pixels are clamped to [0, 1] and rounded to 8 bits."]
    if soft:
        said.append(
            f"`{ANSWERS}` has the learned labels; `label` is the class that an image is stored under."
        )
        said += ["ImageFolder sees only that class."] if form == "images" else []
    if distilled.rates is not None:
        said.append(f"The learned rates are in {where}, where `load_set` finds them.")
    said.append("Networks see `(image - mean) / std`, with the constants above.")
    return "\n\n".join([_python(*reading), " ".join(said), ours])


def _python(*lines: str) -> str:
    return "\n".join(["```python", *lines, "```"])


def _ddranking(distilled: DistilledSet, file: str) -> str:
    """How DD-Ranking takes what was written for it."""
    soft, probabilities = distilled.labels.is_floating_point(), probable(distilled.labels)
    whitened = isinstance(distilled.normalisation, Whitening)
    name, side = ddranking_data(distilled)[0], distilled.images.shape[-1]
    model = "ConvNet-4-BN" if side == 64 else "ConvNet-3"  # of which it knows how to train one on real images
    metric, labels = (
        ("LabelRobustScoreSoft", "soft_labels") if soft else ("LabelRobustScoreHard", "hard_labels")
    )
    options = [
        f'dataset="{name}", real_data_path="data", im_size=({side}, {side}), use_zca={whitened},',
        f'ipc={len(distilled) // len(distilled.classes)}, model_name="{model}", step_size=150,',
        'data_aug_func=None, random_data_format="tensor", eval_full_data=True, device="cuda",',
    ]
    if soft:
        loss = (
            '"sce", loss_fn_kwargs={"temperature": 1.0}' if probabilities else '"mse_gt", loss_fn_kwargs={}'
        )
        options += [
            f'soft_label_mode="S", soft_label_criterion={loss},',
            f'teacher_dir="teachers", teacher_model_names=["{model}"],  # which label its random images',
        ]

    def loaded(what: str) -> str:
        return f'torch.load("{file}/{what}.pt", weights_only=True)'

    code = _python(
        "import torch",
        f"from ddranking.metrics import {metric}",
        "",
        f"metric = {metric}(",
        *(f"    {line}" for line in options),
        ")",
        "metric.compute_metrics(",
        f"    image_tensor={loaded('images')},",
        f"    {labels}={loaded('labels')},",
        f"    syn_lr={loaded('lr') if distilled.rates is not None else 0.01},",
        ")",
    )
    told = (
        "whitened as it whitens"
        if whitened
        else "normalised with the constants that it normalises test images with"
    )
    kind = "classes"
    if soft:
        kind = "real numbers, to be learned by squared error"
        if probabilities:
            kind = "logarithms of probabilities: its soft cross-entropy takes the softmax of what it is given"
    # Both found by running it on exports: tests/nightly/readers/dd_ranking.py goes round them.
    fault = (
        "fails where it draws and labels its own random images, which comes last"
        if soft
        else "fails where it writes its table, in which it counts the score twice; that comes last"
    )
    return (
        f"With `ddranking` 0.2.0, which needs an environment of its own (numpy below 2):\n\n{code}\n\n"
        f"Images are float32, {told}. Labels are {kind}. Its accuracies are the best of those along a training; "
        f"those of this card are the last. That release {fault}: a fault of its own, with any set."
    )


def _licence(distilled: DistilledSet) -> str:
    return (
        f"The images are made from {_data(distilled)}. Its licence: {_known(distilled)[1]}. "
        "The library that made them, dreamlib, is MIT."
    )


def _known(distilled: DistilledSet) -> tuple[str, str]:
    name = str(distilled.about.get("dataset", ""))
    with suppress(BadValue):  # a name of another version
        name = origin(name)
    return LICENCES.get(name, ("unknown", "not known to dreamlib; ask where the data came from"))
