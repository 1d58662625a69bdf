"""The gateway: it answers requests with the champion and, for its share, the challenger, and logs what it answered.

May import ``exceptions``, ``settings``, ``state`` and ``tracking``; never Airflow. A request reads neither SQL nor
MLflow: routes are polled, models are loaded by a child process each, and the log is written behind the answer.
"""
