"""Wait for a confirmed drift."""

from __future__ import annotations

from airflow_provider_autoglm.sensors.check import ConfirmedCheckSensor


class DriftSensor(ConfirmedCheckSensor):
    """Wait for a drift that is confirmed after the DAG run began.

    Base class: :class:`~airflow_provider_autoglm.sensors.check.ConfirmedCheckSensor`, which describes the parameters.
    """

    kind = "drift"
