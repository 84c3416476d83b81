"""NVML as it is loaded now: the one room that speaks to it, through nvidia-ml-py.

Loaded, asked and unloaded again for each look. An agent that kept NVML open would hold /dev/nvidiactl, and with it
keep the driver from being unloaded: the very upgrade that it is to see. And a process that keeps the library loaded
has the old one when the driver is new (``NVML_ERROR_LIB_RM_VERSION_MISMATCH``) for the rest of its life.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable, Iterator
from ctypes import byref, c_uint, c_void_p, create_string_buffer
from functools import partial
from typing import ParamSpec, TypeVar

import pynvml

from mdevreg.records import Fault, VersionRange
from mdevreg_agent.attributes import Parsed, parse_line
from mdevreg_agent.nvml_blobs import MAX_BLOB_BYTES, range_of

P = ParamSpec("P")
T = TypeVar("T")

#: What leaves a field absent, and is no fault: this GPU, driver or library does not have it.
NOT_THERE = frozenset(
    {
        "NVML_ERROR_DEPRECATED",
        "NVML_ERROR_FUNCTION_NOT_FOUND",
        "NVML_ERROR_NOT_SUPPORTED",
        "NVML_ERROR_NO_DATA",
        "NVML_ERROR_VGPU_ECC_NOT_SUPPORTED",
    }
)
# What is true of all further questions too, so that it is told once.
_OF_ALL = frozenset(
    {
        "NVML_ERROR_DRIVER_NOT_LOADED",
        "NVML_ERROR_GPU_IS_LOST",
        "NVML_ERROR_LIB_RM_VERSION_MISMATCH",
        "NVML_ERROR_RESET_REQUIRED",
        "NVML_ERROR_UNINITIALIZED",
    }
)
_NAMES = {28: "NVML_ERROR_GPU_NOT_FOUND"}  # older nvidia-ml-py does not name it
_NAMES |= {value: name for name, value in vars(pynvml).items() if name.startswith("NVML_ERROR_")}
_ATTEMPTS = 3  # at a list that grows while it is read


@contextlib.contextmanager
def nvml_loaded() -> Iterator[None]:
    """NVML inside the block. Raises ``pynvml.NVMLError``: the library, the driver or its consent is missing."""
    try:
        pynvml.nvmlInit()
        try:
            yield
        finally:
            with contextlib.suppress(pynvml.NVMLError):  # lost with its driver: nothing is left to shut down
                pynvml.nvmlShutdown()
    finally:
        _unload()


def error_name(error: pynvml.NVMLError) -> str:
    """NVML's own name of an error: ``NVML_ERROR_GPU_IS_LOST``."""
    return _NAMES.get(error.value, f"NVML_ERROR_{error.value}")


class Questions:
    """Questions to NVML: each is answered, or ``None`` with a fault unless the error is in ``not_there``."""

    def __init__(self, not_there: frozenset[str] = NOT_THERE) -> None:
        self.faults: list[Fault] = []
        self._not_there = not_there

    def ask(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        """What one of pynvml's functions answers."""
        return self._guarded(function.__name__, partial(function, *args, **kwargs))

    def text(self, function: Callable[P, str], *args: P.args, **kwargs: P.kwargs) -> str | None:
        """A text, made printable as sysfs's attributes are."""
        answer = self.ask(function, *args, **kwargs)
        return None if answer is None else self._printable(function.__name__, parse_line(answer.encode()))

    def listed(self, function: Callable[P, list[int]], *args: P.args, **kwargs: P.kwargs) -> list[int]:
        """A list; it is asked for again if it grew between NVML's two calls for its length and its content."""
        return self._guarded(function.__name__, partial(_patiently, partial(function, *args, **kwargs))) or []

    def blob(self, function: str, handle: pynvml.Handle | int) -> bytes | None:
        """A structure of the size that NVML says, as it says it."""
        return self._guarded(function, partial(_sized, function, handle))

    def blob_text(self, function: str, handle: pynvml.Handle) -> str | None:
        """A text of the size that NVML says."""
        raw = self.blob(function, handle)
        return None if raw is None else self._printable(function, parse_line(raw.partition(b"\0")[0]))

    def versions(self) -> tuple[VersionRange | None, VersionRange | None]:
        """nvmlGetVgpuVersion: the versions that the host could, and those that it is set to."""
        return self._guarded("nvmlGetVgpuVersion", _vgpu_versions) or (None, None)

    def fault(self, function: str, error: str, text: str | None = None) -> None:
        """Note what was wrong with an answer."""
        self.faults.append(Fault(path=f"nvml/{function}", error=error, text=text))

    def _guarded(self, function: str, call: Callable[[], T]) -> T | None:
        try:
            return call()
        except pynvml.NVMLError as error:
            self._note(function, error_name(error))
        except UnicodeDecodeError:
            self.fault(function, "text that is no UTF-8")
        except OverflowError as error:
            self.fault(function, str(error))
        return None

    def _note(self, function: str, error: str) -> None:
        if error in _OF_ALL:
            self.faults.append(Fault(path="nvml", error=error))
        elif error not in self._not_there:
            self.fault(function, error)

    def _printable(self, function: str, parsed: Parsed) -> str | None:
        if parsed.wrong is not None:
            self.fault(function, parsed.wrong, parsed.text)
        return parsed.value


def _patiently(call: Callable[[], T]) -> T:
    for _ in range(_ATTEMPTS - 1):
        try:
            return call()
        except pynvml.NVMLError as error:
            if error.value != pynvml.NVML_ERROR_INSUFFICIENT_SIZE:
                raise
    return call()


def _sized(function: str, handle: pynvml.Handle | int) -> bytes:
    """Ask for the size, then for the content. pynvml's own wrappers have room for the sizes known to them only."""
    call, size = _pointer(function), c_uint(0)
    result = call(handle, create_string_buffer(MAX_BLOB_BYTES), byref(size))
    if result not in (0, pynvml.NVML_ERROR_INSUFFICIENT_SIZE):
        raise pynvml.NVMLError(result)
    if size.value > MAX_BLOB_BYTES:
        raise OverflowError(f"{size.value} bytes; at most {MAX_BLOB_BYTES} are kept")
    buffer = create_string_buffer(size.value)
    _check(call(handle, buffer, byref(size)))
    return buffer.raw[: size.value]


def _vgpu_versions() -> tuple[VersionRange | None, VersionRange | None]:
    """Two ``nvmlVgpuVersion_t``; pynvml's wrapper of it differs between its releases."""
    supported, current = (c_uint * 2)(), (c_uint * 2)()
    _check(_pointer("nvmlGetVgpuVersion")(byref(supported), byref(current)))
    return range_of(*supported), range_of(*current)


def _pointer(function: str) -> Callable[..., int]:
    found: Callable[..., int] | None = getattr(pynvml.nvmlLib, function, None)
    if found is None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)
    return found


def _check(result: int) -> None:
    if result:
        raise pynvml.NVMLError(result)


def _unload() -> None:
    """Close the library, and drop pynvml's pointers into it."""
    library, pynvml.nvmlLib = pynvml.nvmlLib, None
    pynvml._nvmlGetFunctionPointer_cache.clear()  # noqa: SLF001  else it calls into what is no longer there
    if library is not None:
        ctypes.CDLL(None).dlclose(c_void_p(library._handle))  # noqa: SLF001  ctypes has no other way
