"""Asset events that are sent once, whatever is cleared or retried."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk import Asset, Context
from airflow.sdk.exceptions import AirflowSkipException

_CONSIDERED = 200


def tell_once(context: Context, asset: Asset, extra: Mapping[str, Any]) -> None:
    """Fill the event that the task's success sends; ``extra["key"]`` names it.

    The task needs ``asset`` among its outlets and, to look at what has been sent, its inlets.

    :raises AirflowSkipException: if an event of that key has been sent: skipped, the task sends none.
    """
    sent = context["inlet_events"][asset].ascending(False).limit(_CONSIDERED)
    if any((event.extra or {}).get("key") == extra["key"] for event in sent):
        raise AirflowSkipException(f"the event {extra['key']} has been sent before")
    context["outlet_events"][asset].extra = dict(extra)
