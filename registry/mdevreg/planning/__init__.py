"""Driver upgrades before they happen: what they would do, and in which order nobody is ever stranded. Pure.

``foresee``: what would become of the fleet. Works on a ``FleetView``, live or of a moment of the past.
"""
