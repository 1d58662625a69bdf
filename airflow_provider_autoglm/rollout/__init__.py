"""A challenger on its way to the champion's place: the judge, the state machine, and who drives it and takes it back.

May import ``exceptions``, ``settings``, ``state`` and ``tracking``; never Airflow. ``judge`` and ``controller`` are
pure; ``driver`` and ``rollback`` change routes, rollouts and aliases.
"""
