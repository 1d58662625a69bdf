"""The routes as a gateway holds them: a lease on its own clock, and the champion kept on disk for a restart."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import re
from dataclasses import asdict, dataclass, replace
from uuid import uuid4

from airflow_provider_autoglm.state.routes import Model, Routes

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RouteTable:
    """Routes and what this gateway adds to them. Times are seconds of this process's monotonic clock.

    :param asked_at: when the routes were asked for; None if they come from :class:`RouteFile`.
    :param lease_deadline: until when the challenger may get requests; the past without a lease.
    :param stand_in: the champion before, which answers until that of the routes is ready.
    """

    routes: Routes
    asked_at: float | None = None
    lease_deadline: float = -math.inf
    stand_in: Model | None = None

    @classmethod
    def read(cls, routes: Routes, *, asked_at: float) -> RouteTable:
        """Of routes that the state answered to a question of ``asked_at``.

        The answer took some of the lease, so it runs from the question: never longer than the state thinks.
        """
        deadline = -math.inf if routes.lease_s is None else asked_at + routes.lease_s
        return cls(routes, asked_at=asked_at, lease_deadline=deadline)

    def following(self, before: RouteTable | None, *, ready_before: Model | None) -> RouteTable:
        """This table with the champion to stand in: ``ready_before``, which answered under the table before.

        A state that was lost and begins again without a champion does not take it away from a gateway either, nor from
        one that was restarted and has yet to load it.
        """
        if before is None:
            return self
        stand_in = ready_before
        if self.routes.champion is None:
            stand_in = ready_before or before.routes.champion or before.stand_in
        return self if stand_in == self.routes.champion else replace(self, stand_in=stand_in)

    def models(self) -> tuple[Model, ...]:
        """The models that have to be loaded."""
        models = (*self.routes.models(), *filter(None, [self.stand_in]))
        return tuple({model.version: model for model in reversed(models)}.values())[::-1]

    def champions(self) -> tuple[str, ...]:
        """The versions that answer for the champion."""
        return tuple(model.version for model in (self.routes.champion, self.stand_in) if model is not None)

    def lease_left_s(self, now: float) -> float | None:
        """Seconds of the lease that are left, None without one or once it is lost."""
        if self.lease_deadline == -math.inf or self.routes.is_lease_lost:
            return None
        return max(0.0, self.lease_deadline - now)

    def challenger_weight(self, now: float) -> int:
        """Percentage of requests that the lease grants the challenger."""
        return self.routes.challenger_weight if self.lease_left_s(now) and self.routes.challenger else 0


def share_of(request_id: str, *, purpose: str) -> float:
    """A number in [0, 1) that is always the same for an id, uniform over ids, and unrelated between purposes."""
    digest = hashlib.blake2b(request_id.encode(), digest_size=8, person=purpose.encode()).digest()
    return int.from_bytes(digest, "big") / 2.0**64


class RouteFile:
    """The last champion that was read from the state, so that a gateway restarted while it is away can answer.

    No more than the champion is kept: without the state nobody can say that a challenger still has its lease.
    """

    def __init__(self, folder: str, *, pipeline: str, state_name: str) -> None:
        state = hashlib.sha256(state_name.encode()).hexdigest()[:8]
        self._path = os.path.join(folder, f"routes-{re.sub(r'[^A-Za-z0-9_.-]', '_', pipeline)}-{state}.json")
        self._pipeline = pipeline
        self._saved: Routes | None = None

    def save(self, routes: Routes) -> None:
        """Keep the champion, if there is one; nothing is written while it stays the same."""
        kept = Routes(self._pipeline, generation=routes.generation, champion=routes.champion)
        if routes.champion is None or kept == self._saved:
            return
        unfinished = f"{self._path}.{uuid4().hex}.part"  # gateways in containers share a cache and have equal pids
        try:
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
            with open(unfinished, "w", encoding="utf-8") as file:
                json.dump({"generation": routes.generation, "champion": asdict(routes.champion)}, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(unfinished, self._path)
            self._saved = kept
        except OSError as error:
            _log.warning("the champion cannot be kept in %s for a restart without state: %s", self._path, error)

    def load(self) -> RouteTable | None:
        """The table with the kept champion alone; None if there is none."""
        try:
            with open(self._path, encoding="utf-8") as file:
                kept = json.load(file)
            champion = Model(**kept["champion"])
            return RouteTable(Routes(self._pipeline, generation=int(kept["generation"]), champion=champion))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError) as error:
            _log.warning("%s cannot be used: %s", self._path, type(error).__name__)
            return None
