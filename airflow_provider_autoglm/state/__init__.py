"""The SQL tables that everything operational shares: routes, rollouts, replicas, predictions, feedback and checks.

May import ``exceptions`` and ``settings``; never Airflow. All times are seconds since the epoch by the database's own
clock, so that processes on different machines agree; transactions are short. Changes to routes and rollouts go through
compare-and-set only.
"""

from airflow_provider_autoglm.state.database import Database

__all__ = ["Database"]
