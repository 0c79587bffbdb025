"""The settings that belong to a number, method by method, and where they are not the published ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

import pandas as pd
from markupsafe import escape

from . import layouts
from .layouts import Fragment
from .statistics import Record, at_its_end, deviation, unique, work
from .words import (
    NETWORKS,
    NOTHING,
    class_sequence,
    data_set,
    device,
    duration,
    network,
    percent,
    plainly,
    size,
)

LONG = 36  # characters of a value that stands in a line; longer ones are notes


def of_methods(records: Sequence[Record]) -> pd.DataFrame:
    """The settings that belong to a number: one line per method, in words.

    A setting that differs between the records of a method is shown as all its values, or as a range, so that
    a difference is never hidden.

    Returns
    -------
    DataFrame
        Strings only; "not recorded" where a record does not say. ``generator`` is a column only where there is one.
    """
    by_method: dict[str, list[Record]] = {}
    for record in unique(records):
        if at_its_end(record):
            by_method.setdefault(str(record["method"]), []).append(record)
    lines = [_settings(found) for found in by_method.values()]
    told = pd.DataFrame(lines, columns=None if lines else list(_settings(())))
    return told if (told.generator != NOTHING).any() else told.drop(columns="generator")


def shown(
    records: Sequence[Record],
    caption: str = "",
    links: Mapping[str, str] | None = None,
    more: pd.DataFrame | None = None,
) -> Fragment:
    """The :func:`of_methods` of a page: what all methods share is listed once, below what differs between them.

    At the end, folded away, every record with its own numbers. ``links`` says where the record of a key is. ``more`` is
    what the page has :func:`measured` by itself.
    """
    by_itself = ""
    if more is not None and not more.empty:
        by_itself = layouts.styled(more, "Measured by this page itself.").text
        if not records:
            return Fragment(by_itself)
    told = of_methods(records)
    shared = [name for name in told.columns[1:] if len(told) > 1 and told[name].nunique() == 1]
    same = {name: str(told[name].iloc[0]) for name in shared}
    lines, notes = _noted(told.drop(columns=shared))
    table = layouts.styled(lines, caption, same=same, notes=notes)
    every = ""
    if links and records:
        listed = of_records(records, links)
        every = layouts.folded(f"Every record ({len(listed):,})", layouts.styled(listed))
    origins = sources(records)
    return Fragment(
        table.text
        + by_itself
        + layouts.by_method("Differs from paper and released code in", differences(records))
        + layouts.by_method("Our own choices, where no paper says", choices(records))
        + ("" if origins.empty else layouts.folded("Where every setting comes from", layouts.styled(origins)))
        + every
    )


def _noted(told: pd.DataFrame) -> tuple[pd.DataFrame, list[tuple[str, str]]]:
    """Lines whose long values stand below them, each once: a table of paragraphs cannot be read along its lines."""
    marks: dict[str, str] = {}

    def short(column: str, value: str) -> str:
        if column == "method" or len(value) <= LONG:
            return value
        return marks.setdefault(f"{column}: {value}", f"note {len(marks) + 1}")

    lines = [
        {str(name): short(str(name), value) for name, value in line.items()}
        for line in told.to_dict("records")
    ]
    notes = [(mark, words) for words, mark in marks.items()]
    return pd.DataFrame(lines, columns=told.columns), notes


def costs(told: pd.DataFrame) -> Fragment:
    """What a set of each method costs, from :func:`~.statistics.costs`; long formats stand below it, each once.

    The machine, where it is one, is said once; hours of a kind that no line has are no column.
    """
    told = told.drop(columns=[name for name in ("core_hours", "device_hours") if told[name].isna().all()])
    shared = [name for name in ("machine", "formats") if len(told) > 1 and told[name].nunique() == 1]
    same = {name: str(told[name].iloc[0]) for name in shared}
    told = told.drop(columns=shared)
    notes: list[tuple[str, str]] = []
    if "formats" in told:
        long = [value for value in dict.fromkeys(told.formats) if len(value) > LONG]
        notes = [(f"note {number}", value) for number, value in enumerate(long, 1)]
        marks = {value: f"{_in_short(value)}, {mark}" for mark, value in notes}
        told = told.assign(formats=told.formats.replace(marks))
    return layouts.styled(told, decimals=2, same=same, notes=notes)


def _in_short(formats: str) -> str:
    """The first word for making a set, and for judging it where that is another: ``"float32, judged: bfloat16"``."""
    made, _, judged = formats.partition("; judged: ")
    first, second = (words.partition(",")[0] for words in (made, judged))
    return f"{first}, judged: {second}" if second not in ("", first) else first


def of_records(records: Sequence[Record], links: Mapping[str, str]) -> pd.DataFrame:
    """One line for every record: whose it is, the accuracy over its networks, and a link to its file."""
    lines = [
        {
            "method": record["label"],
            "data set": record["dataset"],
            "images/class": record["ipc"],
            "set": record["seed"],
            "step": record["iteration"],
            "judged by": _network(_dig(record, "evaluation", "network")),
            "accuracy (%)": percent(fmean(record["accuracies"]), deviation(record["accuracies"]))
            if record["accuracies"]
            else NOTHING,
            "networks": len(record["accuracies"]),
            "file": _link(links.get(record["key"], "")),
        }
        for record in unique(records)
    ]
    return pd.DataFrame(lines)


def measured(measurements: Sequence[Record], links: Mapping[str, str]) -> pd.DataFrame:
    """What a page measures by itself: one line for each kind of number on a data set, with links to all its files."""
    kinds: dict[tuple[str, str], list[Record]] = {}
    for found in unique(measurements):
        kinds.setdefault((found["about"], found["dataset"]), []).append(found)
    lines = [
        {
            "measured": plainly(about),
            "data set": data_set(dataset),
            "rows": sum(len(one["rows"]) for one in found),
            "computing": duration(sum(filter(None, map(work, found)))),
            "device": _values(device(one["device"]) for one in found),
            "versions": _values(_versions(one["versions"]) for one in found),
            "revision": _values(_short(one["revision"]) for one in found),
            "records": _links([links.get(one["key"], "") for one in found]),
        }
        for (about, dataset), found in kinds.items()
    ]
    return pd.DataFrame(lines)


def _links(addresses: Sequence[str]) -> Fragment:
    """Links with numbers for words."""
    told = [_link(address, str(number)) for number, address in enumerate(addresses, 1)]
    return Fragment(" ".join(one.text for one in told if isinstance(one, Fragment)) or NOTHING)


def _link(address: str, text: str = "record") -> Fragment | str:
    return Fragment(f'<a href="{escape(address)}">{text}</a>') if address else NOTHING


def differences(records: Sequence[Record]) -> dict[str, list[str]]:
    """Where each method, by its label, is not what paper and released code do; generated from the recipes.

    A difference that not all records of a method share names the data sets and budgets it holds for.
    """
    return _by_method(records, lambda record: map(plainly, record.get("differs", ())))


def choices(records: Sequence[Record]) -> dict[str, list[str]]:
    """What each method, by its label, takes from no paper and no released code: choices of our own, with their reasons.

    As :func:`differences`.
    """
    return _by_method(
        records, lambda record: [line for line in _sourced(record) if re.search(r"\bours\b", line)]
    )


def sources(records: Sequence[Record]) -> pd.DataFrame:
    """Where every setting of the methods comes from: one line per source, which several methods may share."""
    methods: dict[str, list[str]] = {}
    for label, lines in _by_method(records, _sourced).items():
        for line in lines:
            methods.setdefault(line, []).append(label)
    told = [(", ".join(labels), line) for line, labels in methods.items()]
    return pd.DataFrame(told, columns=["methods", "settings, and where they come from"])


def _sourced(record: Record) -> list[str]:
    """``"image lr, image momentum: DC, released code"``; the source of a whole recipe stands alone."""
    by_source: dict[str, list[str]] = {}
    for name, source in record.get("sources", {}).items():
        # Words for the names of settings that a source speaks of; the path of a file is what a reader types.
        said = re.sub(
            r"(?<![\w/.])[a-z]+(?:_[a-z]+)+(?![\w/.])", lambda name: name[0].replace("_", " "), source
        )
        by_source.setdefault(said, []).append("" if name == "all" else plainly(f"{name} ").strip())
    return [
        f"{', '.join(filter(None, names))}: {source}".removeprefix(": ")
        for source, names in by_source.items()
    ]


def _by_method(records: Sequence[Record], told: Callable[[Record], Iterable[str]]) -> dict[str, list[str]]:
    """What is told of the records of each method, by its label, and where it holds if not everywhere; maybe nothing."""
    found: dict[str, dict[str, list[str]]] = {}
    places: dict[str, list[str]] = {}
    for record in unique(records):
        label, place = str(record["label"]), f"{data_set(record['dataset'])} {record['ipc']}"
        if place not in places.setdefault(label, []):
            places[label].append(place)
        for words in told(record):
            where = found.setdefault(label, {}).setdefault(words, [])
            if place not in where:
                where.append(place)
    return {
        label: [
            words + ("" if len(where) == len(places[label]) else f" ({', '.join(where)})")
            for words, where in lines.items()
        ]
        for label, lines in ((label, found.get(label, {})) for label in places)
    }


def _settings(records: Sequence[Record]) -> dict[str, str]:
    def every(*path: str) -> str:
        return _values(_dig(record, *path) for record in records)

    stored = [record.get("bytes_stored") for record in records]
    peaks = [record.get("peak_memory_bytes") or None for record in records]
    took = [work(record) for record in records]
    return {
        "method": every("label"),
        "data sets": _values(class_sequence(record["dataset"]) for record in records),
        "images/class": every("ipc"),
        "normalisation": every("normalisation", "name"),
        "real batch": _values(_real_batch(record) for record in records),
        "iterations": every("iterations"),
        "generator": _values(_generator(record) for record in records),
        "evaluation": every("evaluation", "protocol"),
        "epochs": _values(_epochs(record) for record in records),
        "batch": _values(_anywhere(record.get("evaluation"), "batch") for record in records),
        "augmentation": _values(_augmentation(record)[0] for record in records),
        "strengths": _values(_augmentation(record)[1] for record in records),
        "cutmix": _values(_anywhere(record.get("evaluation"), "cutmix") for record in records),
        "network": _values(_network(_dig(record, "evaluation", "network")) for record in records),
        "networks": every("evaluation", "networks"),
        "seeds": every("seed"),
        "computing": _span(took, duration),
        "peak memory": _span(peaks, size),
        "images stored": every("images_stored"),
        "bytes stored": _span(stored, size),
        "mode": _values(_mode(record) for record in records),
        "device": _values(device(record.get("device")) for record in records),
        "versions": _values(_versions(record.get("versions")) for record in records),
        "revision": _values(_short(str(record.get("revision") or "")) for record in records),
    }


def _epochs(record: Record) -> object:
    """How long the judging networks were trained: passes over the set, or steps where their number was given."""
    if steps := _dig(record, "evaluation", "steps"):
        return f"{steps:,} steps"
    epochs, extra = (_anywhere(record.get("evaluation"), name) for name in ("epochs", "extra"))
    if epochs is None and isinstance(steps := record.get("steps_trained"), int):
        return f"{steps:,} steps"  # the set's own number, or none where nothing is trained
    return epochs + extra if isinstance(epochs, int) and isinstance(extra, int) else epochs


def _network(described: object) -> object:
    """A network as tables call it, with its width."""
    if not isinstance(described, Mapping) or "norm" not in described:
        return _words(described)
    return network(described) + (f", width {described['width']}" if described.get("width") else "")


def _versions(named: object) -> object:
    """Versions of what computes; this project's own code is named by its revision."""
    if not isinstance(named, Mapping):
        return named
    return ", ".join(f"{name} {version}" for name, version in named.items() if name != "dreamlib")


def _mode(record: Record) -> str:
    """Mode of the engine, and in which formats it ran: the machine decides those of fast mode."""
    mode = str(_dig(record, "recipe", "mode") or "plain")
    formats = _dig(record, "formats")
    if not isinstance(formats, Mapping):
        return mode
    return f"{mode} ({'; '.join(dict.fromkeys(map(str, formats.values())))})"


def _real_batch(record: Record) -> object:
    """Real images of each class in a step; in a generator's, of all classes together."""
    how = _dig(record, "recipe", "criterion")
    if not isinstance(how, Mapping) or how["part"] != "Generative":
        return _dig(record, "recipe", "criterion", "real_batch")
    return f"{how['matched_batch' if how['matched_epochs'] else 'batch']} of all classes"


def _generator(record: Record) -> str:
    """How a generator was made: what it is, what it was trained by, and what was matched."""
    how, container = _dig(record, "recipe", "criterion"), _dig(record, "recipe", "container")
    if not isinstance(how, Mapping) or not isinstance(container, Mapping) or how["part"] != "Generative":
        return NOTHING
    # Adam's numbers are told where the training is.
    made = {name: value for name, value in container.items() if name not in ("lr", "betas")}
    parts = [_words(made), f"{how['objective']['part']} {_words(_objective(how['objective']))}".strip()]
    drawn = ", its partner's images drawn by themselves" if how.get("independent_draws") else ""
    parts.append(f"batch {how['batch']}, lr {container['lr']:g}, {how['epochs']} epochs{drawn}")
    if how["matched_epochs"]:
        matcher, teacher = how["matcher"], _dig(record, "recipe", "teacher")
        assert isinstance(teacher, Mapping)
        pool = ", ".join(NETWORKS.get(one["name"], one["name"]) for one in teacher["models"])
        if teacher["mode"] == "train":
            pool += " in training mode"
        if teacher["space"] == "signed":
            pool += " on images in [-1, 1], normalised as if in [0, 1]"
        rate = container["lr"] * how["matched_rate"]
        parts.append(
            f"after epoch {how['matched_from']} for {how['matched_epochs']} epochs, lr {rate:g}, "
            f"Adam {'carried on' if how.get('carries_adam') else 'afresh'}: "
            f"{how['weight']:g} times {matcher['part']} ({_words(matcher)}), under {pool}, which learn from "
            f"{teacher['images']} real images before a step"
        )
    return "; ".join(map(str, parts))


def _objective(described: Mapping[str, Any]) -> Mapping[str, Any]:
    """Its numbers; the slope of a discriminator is left out of a record where it is 0.2."""
    return {"slope": 0.2, **described} if described["part"] == "Adversarial" else described


def _short(revision: str) -> str:
    """Ten digits of a commit; a plus says that the code differed from it."""
    return revision[:10] + ("+" if revision.endswith("+") else "")


def _dig(record: Record, *path: str) -> object:
    value: object = record
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _anywhere(tree: object, name: str) -> object:
    """The value under `name`, on this level or else in the nested dicts below it."""
    if not isinstance(tree, Mapping):
        return None
    if name in tree:
        return tree[name]
    return next((value for branch in tree.values() if (value := _anywhere(branch, name)) is not None), None)


def _augmentation(record: Record) -> tuple[object, object]:
    """Which transforms an evaluation uses, and how strong they are."""
    value = _anywhere(record.get("evaluation"), "augment")
    if not isinstance(value, Mapping):
        return value, None
    family = value.get("family")
    named = str(value.get("strategy")).replace("_", ", ") + (
        f" ({family})" if family and value.get("strategy") != "none" else ""
    )
    return named, _words({name: one for name, one in value.items() if name not in ("strategy", "family")})


def _words(value: object) -> object:
    """A nested setting on one line: ``{"name": "flip", "p": 0.5}`` reads ``name flip, p 0.5``."""
    if not isinstance(value, Mapping):
        return value
    told = {name: one for name, one in value.items() if name != "part" and one not in (None, "")}
    if "strategy" in told:  # the transforms of an augmentation, as code writes them: crop_cutout
        told["strategy"] = plainly(told["strategy"])
    return ", ".join(f"{plainly(name)} {_words(one)}" for name, one in told.items())


def _values(values: Iterable[object]) -> str:
    """All distinct values: whole numbers in a row as ``0–4``, everything else separated by commas."""
    distinct = list(dict.fromkeys("not recorded" if value in (None, "") else value for value in values))
    numbers = [value for value in distinct if isinstance(value, int) and not isinstance(value, bool)]
    if len(numbers) == len(distinct):
        numbers.sort()
        if len(numbers) > 2 and numbers == list(range(numbers[0], numbers[-1] + 1)):
            return f"{numbers[0]}–{numbers[-1]}"
        return ", ".join(str(value) for value in numbers)
    return "; ".join(sorted(map(str, distinct)))


def _span(values: Sequence[float | None], words: Any) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "not recorded"
    low, high = words(min(known)), words(max(known))
    return low if low == high else f"{low} – {high}"
