"""The fleet index: every question about now, answered from memory in microseconds (``FleetView``). Pure.

``Fleet`` takes in what the registry publishes (``mdevreg.published``); ``Fleet.view`` is the fleet at one moment,
which never changes and may be read from any thread.
"""

from mdevreg.fleet.matrix import Accepted, Cell, KindSummary, Matrix
from mdevreg.fleet.targets import Order, Target, TargetList
from mdevreg.fleet.view import FleetView
from mdevreg.fleet.writer import Applied, Fleet, Refused
from mdevreg.rulings import Brief, Ruling

__all__ = [
    "Accepted",
    "Applied",
    "Brief",
    "Cell",
    "Fleet",
    "FleetView",
    "KindSummary",
    "Matrix",
    "Order",
    "Refused",
    "Ruling",
    "Target",
    "TargetList",
]
