"""For nbval: the kernel of every notebook is forked from a process that has imported what all of them import.

``python -m pytest -p forked_kernels --nbval-lax notebooks``, with this folder in PYTHONPATH. Each notebook has a
process of its own, as ever; it is there in a moment, and not after seconds of imports.
"""

from __future__ import annotations

import os
from importlib.metadata import EntryPoint
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning import KernelProvisionerFactory, LocalProvisioner

PRELOADED = [
    "dreamlib.companion.report.figures",
    "dreamlib.companion.session",
    "ipykernel.kernelapp",
    "matplotlib_inline.backend_inline",
]


class Forked:
    """A process as :class:`subprocess.Popen` would have started it, as far as Jupyter asks for it."""

    stdin = stdout = stderr = None

    def __init__(self, words: list[str], cwd: str | os.PathLike[str] | None, env: dict[str, str]) -> None:
        # A kernel draws into its notebook. Matplotlib asks for that when it is imported.
        os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
        context = get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        self.process = context.Process(target=_kernel, args=(words, str(cwd or Path.cwd()), env))
        self.process.start()
        assert self.process.pid is not None
        self.pid = self.process.pid

    def poll(self) -> int | None:
        return self.process.exitcode

    def wait(self, timeout: float | None = None) -> int | None:
        self.process.join(timeout)
        return self.process.exitcode

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def terminate(self) -> None:
        self.process.terminate()

    def kill(self) -> None:
        self.process.kill()


def _kernel(words: list[str], cwd: str, env: dict[str, str]) -> None:
    """In the new process: IPython's kernel with its own arguments, folder and environment."""
    os.setsid()  # a group of its own: what is sent to it reaches nobody else
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    for number in (0, 1, 2):  # what cells print goes to the notebook
        os.dup2(os.open(os.devnull, os.O_RDWR), number)
    from ipykernel import kernelapp

    kernelapp.launch_new_instance(words)


class ForkedProvisioner(LocalProvisioner):
    """Jupyter's own way to start a kernel, but for the fork."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        # PYTHON -m ipykernel_launcher -f CONNECTION: what follows the module is for the kernel.
        words = cmd[cmd.index("ipykernel_launcher") + 1 :]
        self.process = Forked(words, kwargs.get("cwd"), kwargs["env"])  # type: ignore[assignment]  # stands in for Popen
        self.pid = self.pgid = self.process.pid
        return self.connection_info


factory = KernelProvisionerFactory.instance()
factory.provisioners["forked"] = EntryPoint("forked", f"{__name__}:ForkedProvisioner", factory.GROUP_NAME)
factory.default_provisioner_name = "forked"
