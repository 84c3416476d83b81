"""In which order hosts may be upgraded so that nobody is ever stranded. Pure.

* ``limits``: what every wave must keep. ``plan``: the plan as it is told.
* ``nodes``, ``yard``: the fleet while it is planned: what is open, and who would be stranded. ``hops``: who goes first.
* ``emptying``, ``matching``: where the devices of one host go: first by preference, else as an integer program.
* ``ordering``: wave after wave. ``searching``: every order there is, of a small fleet.
* ``course``, ``following``: does what is left of a campaign's plan still hold.
* ``proving``, ``relaxing``: why there is no order, and what would do.
"""
