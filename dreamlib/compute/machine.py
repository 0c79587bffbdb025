"""The kind of machine, as far as it decides how fast heavy functions run."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

# Families of instructions by PyTorch's names, the more capable first. A kind of machine is named by the first one it
# has: that decides which number formats are faster, and so which code a mode runs.
_LEVELS = {
    "amx": ("amx_bf16",),
    "avx512-bf16": ("avx512_bf16",),
    "avx512-vnni": ("avx512_vnni",),
    "avx512": ("avx512_f",),
    "avx2": ("avx2",),
    "sve-bf16": ("sve", "arm_bf16"),
    "neon-bf16": ("arm_bf16",),
}

# Settings that keep libraries from using all of a processor. A time measured under one of them is not the machine's.
LIMITS = ("ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY", "DNNL_MAX_CPU_ISA")


@dataclass(frozen=True)
class Machine:
    """A device, with the properties that matter for speed.

    Attributes
    ----------
    kind : str
        Names all machines like it: ``"cpu-avx512-bf16-family26-2"`` (of the processor's family, two threads),
        ``"cuda-nvidia-h200"``. Fit for a file name.
    device : str
        ``"cpu"``, ``"cuda"``.
    processor : str
        As the system calls it, with family and model of a CPU, since vendors hide the name.
    instructions : str
        The most capable family of vector instructions; empty for a GPU.
    cores, threads : int
        Physical cores, and CPU threads that compute.
    cache_kib : dict of str to int
        Size of each level of cache: ``{"L1": 48, "L2": 1024, "L3": 32768}``; L1 and L2 of one core.
    limited_by : str
        Settings that keep libraries from using all of the processor, such as ``"ONEDNN_MAX_CPU_ISA=AVX2"``.
    """

    kind: str
    device: str
    processor: str
    instructions: str
    cores: int
    threads: int
    cache_kib: dict[str, int]
    limited_by: str

    @property
    def words(self) -> str:
        """For a page: "AMD EPYC (family 26, model 2), avx512-bf16, 2 threads on 2 cores, L2 1024 KiB, L3 32768 KiB"."""
        if self.device != "cpu":
            return self.processor
        caches = "".join(f", {name} {size} KiB" for name, size in self.cache_kib.items() if name != "L1")
        limit = f", limited by {self.limited_by}" if self.limited_by else ""
        threads = f"{self.threads} thread{'s' if self.threads != 1 else ''}"
        return f"{self.processor}, {self.instructions}, {threads} on {self.cores} cores{caches}{limit}"


def this_machine(device: torch.device) -> Machine:
    """The machine that runs this process."""
    threads = torch.get_num_threads()
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        return Machine(f"cuda-{_slug(name)}", "cuda", name, "", os.cpu_count() or 1, threads, {}, "")
    found, instructions, limits = torch.cpu.get_capabilities(), _level(), _limits()
    # Processors with the same instructions differ in the width of the units that carry them out.
    family = f"family{about['cpu family']}" if "cpu family" in (about := _first_processor()) else ""
    kind = "-".join(filter(None, [device.type, instructions, family, str(threads), _slug(limits)]))
    cores = int(found.get("num_physical_cores") or os.cpu_count() or 1)
    return Machine(kind, device.type, _processor(found), instructions, cores, threads, _caches(found), limits)


def native() -> str:
    """Names all machines that can run each other's native code: ``"avx512-bf16-3f2a9c01"``. Fit for a file name.

    A folder of compiled code may be shared by machines, as a home folder of a cluster is. Code for instructions that a
    processor lacks ends its process without a word, and so does code for wider vectors than PyTorch is told to use.
    """
    sets = [name for name, has in sorted(torch.cpu.get_capabilities().items()) if has is True]
    return f"{_level()}-{hashlib.sha256(' '.join([*sets, _limits()]).encode()).hexdigest()[:8]}"


def _level() -> str:
    found = torch.cpu.get_capabilities()
    names = (level for level, needed in _LEVELS.items() if all(found.get(name) for name in needed))
    return next(names, str(found.get("architecture", "unknown")))


def _limits() -> str:
    return " ".join(f"{name}={os.environ[name]}" for name in LIMITS if os.environ.get(name))


def _processor(found: Mapping[str, Any]) -> str:
    name = str(found.get("cpu_name") or found.get("architecture") or "unknown processor")
    about = _first_processor()
    numbers = [
        f"{word} {about[key]}" for key, word in (("cpu family", "family"), ("model", "model")) if key in about
    ]
    return f"{name} ({', '.join(numbers)})" if numbers else name


def _first_processor() -> dict[str, str]:
    """The lines on the first processor in the system's own list; empty where it keeps none."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.split(":", 1) for line in text.splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def _caches(found: Mapping[str, Any]) -> dict[str, int]:
    sizes = {"L1": found.get("l1d_cache_size"), "L2": found.get("l2_cache_size")}
    out = {name: int(size) // 1024 for name, size in sizes.items() if size}
    try:
        last = Path("/sys/devices/system/cpu/cpu0/cache/index3/size").read_text(encoding="utf-8").strip()
    except OSError:
        return out
    return out | ({"L3": int(last[:-1])} if re.fullmatch(r"\d+K", last) else {})


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
