"""Derives events: facts of the fleet at a log position and the entries after it in, what happened out. Pure.

``Deriver`` keeps the facts and tells of each entry; what it tells depends on the log alone.
"""

from mdevreg.deriving.deriver import Deriver, Entry, Told
from mdevreg.deriving.facts import Called, HostFacts

__all__ = ["Called", "Deriver", "Entry", "HostFacts", "Told"]
