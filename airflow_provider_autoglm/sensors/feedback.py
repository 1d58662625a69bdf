"""Wait for enough feedback."""

from __future__ import annotations

from airflow_provider_autoglm.sensors.check import ConfirmedCheckSensor


class FeedbackSensor(ConfirmedCheckSensor):
    """Wait for a feedback check that is confirmed after the DAG run began.

    Base class: :class:`~airflow_provider_autoglm.sensors.check.ConfirmedCheckSensor`, which describes the parameters.
    """

    kind = "feedback"
