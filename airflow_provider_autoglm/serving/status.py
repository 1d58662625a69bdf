"""What a gateway says of itself, at ``/v1/routes``, ``/ready`` and ``/metrics``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from airflow_provider_autoglm.state.replicas import VersionStatus


@dataclass(frozen=True)
class GatewayStatus:
    """One moment of a gateway.

    :param champion: version that the routes name; ``answering`` is the one that does the champion's work now, None if
        none can.
    :param challenger_weight: percentage that the routes give the challenger; ``effective_weight`` what it is given.
    :param lease_left_s: seconds until the champion gets everything; None without a lease.
    :param state_age_s: seconds since the routes were read; None if this process never could.
    :param problem: why the state could not be used at the last look; empty if it could.
    :param not_ready: why requests cannot be answered; empty if they can.
    :param in_flight: requests that are being answered or wait for a model.
    """

    pipeline: str
    gateway_id: str
    generation: int
    champion: str | None
    answering: str | None
    challenger: str | None
    challenger_weight: int
    effective_weight: int
    lease_left_s: float | None
    is_lease_lost: bool
    rollout_id: int | None
    versions: Mapping[str, VersionStatus]
    in_flight: int
    state_age_s: float | None
    problem: str
    not_ready: str
    log_text: str
    log_backlog_rows: int
    log_spooled_bytes: int
    log_dropped_rows: int
