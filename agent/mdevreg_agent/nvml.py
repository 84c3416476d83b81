"""NVIDIA's management library, asked at each look: ``open_nvml`` and what it adds to the parents.

Optional: without nvidia-ml-py (the extra ``nvidia``), the library, its driver or a GPU nothing is added, silently.
Each look loads NVML anew and lets go of it (``mdevreg_agent.nvml_calls`` says why), so that a driver that is loaded,
unloaded or upgraded while the agent runs is seen by the next look.

A look through NVML never raises: what went wrong is a fault of the NVIDIA parents, at ``nvml`` for the whole and at
``nvml/<function>`` for a single question. It runs in a thread of its own and is waited for a bounded time, because a
wedged driver may never answer: the look then goes on without it, and so do those after it, until it has come back.
Nothing is locked meanwhile.
"""

from __future__ import annotations

from functools import partial

from mdevreg.records import Fault, Parent
from mdevreg_agent.attributes import fault_text
from mdevreg_agent.nvml_seen import Seen, is_nvidia, with_seen
from mdevreg_agent.patience import Patience

#: How long one look waits for NVML. Without persistence mode each GPU is woken first, some seconds each.
PATIENCE_S = 30.0


def open_nvml(*, patience_s: float = PATIENCE_S) -> NvmlLibrary | None:
    """The library; ``None`` if nvidia-ml-py is not installed. Nothing is loaded before it is asked."""
    try:
        import mdevreg_agent.nvml_gpus  # noqa: F401
    except ImportError as error:
        if error.name != "pynvml":
            raise
        return None
    return NvmlLibrary(Patience(patience_s))


class NvmlLibrary:
    """NVML, through ``patience``. Its methods are called from one thread at a time."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._closed = False

    def added(self, parents: tuple[Parent, ...], *, host_os: str | None) -> tuple[Parent, ...]:
        """The parents with what NVML says of them; those that are not NVIDIA's, and all after ``close``, as they were.

        ``host_os``: ID and VERSION_ID of os-release(5), with a space between. Never raises.
        """
        if self._closed or not any(is_nvidia(parent) for parent in parents):
            return parents
        return with_seen(parents, self._seen(host_os))

    def close(self) -> None:
        """Ask no more. Nothing is held between two looks, so there is nothing to let go of."""
        self._closed = True

    def _seen(self, host_os: str | None) -> Seen:
        from mdevreg_agent.nvml_gpus import see_gpus

        try:
            return self._patience.ask(partial(see_gpus, host_os=host_os))
        except TimeoutError:
            return _failed(f"no answer within {self._patience.seconds:g} s")
        except Exception as error:  # noqa: BLE001  an untyped library around a foreign one: told, whatever it is
            return _failed(fault_text(f"{type(error).__name__}: {error}").replace("\n", " "))


def _failed(error: str) -> Seen:
    return Seen(faults=(Fault(path="nvml", error=error),))
