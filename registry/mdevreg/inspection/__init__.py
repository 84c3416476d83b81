"""Inspection: what a saved VFIO migration stream says of itself in its first bytes. Pure; nothing is read from disk.

A file per driver family; each knows one header and what must follow it. ``recognise`` asks them in turn.
"""

from mdevreg.inspection.head import MAX_HEAD_BYTES
from mdevreg.inspection.inspected import Inspected
from mdevreg.inspection.recognise import inspect, known_formats

__all__ = ["Inspected", "MAX_HEAD_BYTES", "inspect", "known_formats"]  # noqa: RUF022  (the order of the letters)
