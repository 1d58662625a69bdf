"""Drive one rollout: look, decide, write the decision down, act on it; and keep its lease alive."""

from __future__ import annotations

import logging
from dataclasses import replace

from sqlalchemy.exc import SQLAlchemyError

from airflow_provider_autoglm.exceptions import FencedError, PipelineFrozenError, RouteChangedError
from airflow_provider_autoglm.rollout.aliases import RegistrySource, end_challenger, follow_routes, open_registry
from airflow_provider_autoglm.rollout.controller import AliasState, Observation, decide, is_promoted, is_withdrawn
from airflow_provider_autoglm.rollout.demands import Demand, demand_of
from airflow_provider_autoglm.rollout.observe import observe
from airflow_provider_autoglm.settings.rollout import RolloutSettings
from airflow_provider_autoglm.state.database import Database
from airflow_provider_autoglm.state.events import Event, record_event
from airflow_provider_autoglm.state.rollouts import (
    Rollout,
    Transition,
    beat,
    check_token,
    move_rollout,
    read_rollout,
    take_over,
)
from airflow_provider_autoglm.state.routes import Routes, extend_lease, lock_routes, routes_in, write_routes

_log = logging.getLogger(__name__)
_NO_TOKEN = -1
_ROUNDS = 50


class RolloutDriver:
    """Acts on one rollout, as long as nobody else has taken it over.

    Call :meth:`take_over` once, :meth:`tick` until the rollout is at rest, and :meth:`heartbeat` from another thread
    every third of the lease at least. Killed at any line, another driver goes on where this one was: a transition is
    written before it is acted on, and each tick does again what the state asks for. All calls block.

    :param registry: where aliases and tags are kept; a callable is asked each time, so that it may come back. None:
        there are none to keep.
    :raises StateUnavailableError: from every method, if the state cannot be reached; call again.
    :raises FencedError: from every method that acts, if another driver has taken over; only :meth:`look` then.
    """

    def __init__(self, database: Database, rollout_id: int, *, registry: RegistrySource = None) -> None:
        self.database = database
        self.rollout_id = rollout_id
        self._registry = registry
        self._token = _NO_TOKEN
        self._aliases: AliasState = "pending"
        self._routes_problem: str | None = None
        self._recorded = ""

    def take_over(self) -> int:
        """Become the one who acts: returns the fencing token, and outdates the driver before.

        :raises LookupError: if there is no such rollout.
        """
        self._token = take_over(self.database, self.rollout_id)
        return self._token

    def look(self) -> Rollout:
        """The rollout as it is; it may be looked at by anybody."""
        return read_rollout(self.database, self.rollout_id)

    def tick(self) -> Rollout:
        """Take the rollout as far as it goes now, and return it as it is then."""
        for _ in range(_ROUNDS):
            rollout = self._mine()
            if rollout.is_terminal:
                return rollout
            try:
                if not self._advance(rollout):
                    break
            except RouteChangedError as error:
                _log.info("rollout %d: %s", rollout.id, error)
        self.heartbeat()
        return self._mine()

    def heartbeat(self) -> bool:
        """Say that somebody drives, and let the lease run on where the challenger gets traffic; False if it is lost.

        A rollout that is being taken back gets no more of it: should that fail, the gateways give the traffic back.
        """
        rollout = self._mine()
        with self.database.transaction() as connection:
            beat(connection, rollout.id, self._token)
            routes = routes_in(connection, rollout.pipeline)
            is_given_traffic = routes.rollout_id == rollout.id and routes.challenger_weight > 0
            if not is_given_traffic or rollout.state not in ("step", "promoting"):
                return True
            return extend_lease(connection, routes, _settings(rollout).lease_s)

    def resume_held(self, *, reason: str = "a person lets it go on") -> Rollout:
        """Take over, and let a rollout that is held go on: its gateways are looked at first, then comes its step again.

        Nothing happens to one that is not held.

        :raises PipelineFrozenError: if the pipeline is still frozen.
        """
        self.take_over()
        rollout = self.look()
        if rollout.state != "held":
            return rollout
        with self.database.transaction() as connection:
            check_token(connection, rollout.id, self._token)
            routes = lock_routes(connection, rollout.pipeline)
            if routes.frozen_reason is not None:
                raise PipelineFrozenError(rollout.pipeline, routes.frozen_reason)
            is_loaded = routes.challenger == rollout.model
            resumed = Transition("warming" if is_loaded else "validating", rollout.step, rollout.holds, reason)
            return move_rollout(connection, rollout, self._token, resumed)

    def withdraw(self, *, reason: str) -> Rollout:
        """Take over and take the rollout back; it is ``rolled_back`` at the end, unless it says ``rollback_failed``.

        If the routes have been moved to the challenger already, the champion before gets its place again. Nothing
        happens to a rollout that has ended.
        """
        self.take_over()
        rollout = self.look()
        if rollout.state not in ("done", "rolled_back", "rolling_back", "rollback_failed"):
            with self.database.transaction() as connection:
                check_token(connection, rollout.id, self._token)
                routes = lock_routes(connection, rollout.pipeline)
                if is_promoted(rollout, routes):
                    write_routes(connection, routes, champion=routes.previous, previous=None)
                withdrawn = Transition("rolling_back", rollout.step, rollout.holds, reason)
                move_rollout(connection, rollout, self._token, withdrawn)
        return self.tick()

    def close(self) -> None:
        """Give the connections to the state back."""
        self.database.close()

    def _mine(self) -> Rollout:
        rollout = self.look()
        if rollout.fencing_token != self._token:
            raise FencedError(rollout.id, self._token)
        return rollout

    def _advance(self, rollout: Rollout) -> bool:
        """One look, at most one transition, and what it asks for; False if nothing changed."""
        settings = _settings(rollout)
        observation = observe(
            self.database,
            rollout,
            settings,
            registry=self._registry,
            aliases=self._aliases,
            routes_problem=self._routes_problem,
        )
        self._record_judgement(rollout, observation)
        transition = decide(rollout, observation, settings)
        if transition is not None:
            rollout = self._move(rollout, transition)
        demand = demand_of(rollout, observation, settings)
        if demand is not None:
            return self._write(rollout, observation.routes, demand) or transition is not None
        return self._settle(rollout, observation.routes) or transition is not None

    def _move(self, rollout: Rollout, transition: Transition) -> Rollout:
        with self.database.transaction() as connection:
            moved = move_rollout(connection, rollout, self._token, transition)
        self._aliases = "pending"
        _log.info(
            "rollout %d of %s: %s, then %s: %s", moved.id, moved.pipeline, rollout.state, moved.state, moved.reason
        )
        return moved

    def _write(self, rollout: Rollout, seen: Routes, demand: Demand) -> bool:
        """Write the routes as they were seen; False if that cannot be done, and will be tried again."""
        try:
            with self.database.transaction() as connection:
                check_token(connection, rollout.id, self._token)
                write_routes(connection, seen, lease_s=demand.lease_s, **demand.changes)
        except SQLAlchemyError as error:  # the state is there, but it refuses
            if rollout.state not in ("rolling_back", "rollback_failed"):
                raise
            is_news = self._routes_problem is None
            self._routes_problem = " ".join(str(error).split())
            _log.error("rollout %d: the routes cannot be written: %s", rollout.id, self._routes_problem)
            return is_news
        self._routes_problem = None
        return True

    def _settle(self, rollout: Rollout, routes: Routes) -> bool:
        """Bring aliases and tags to what the state asks; False if there is nothing to do, or it could not be done."""
        is_taken_back = rollout.state in ("rolling_back", "rollback_failed") and is_withdrawn(rollout, routes)
        if not (is_taken_back or is_promoted(rollout, routes)):
            return False
        version = rollout.model.version
        try:
            registry = open_registry(self._registry)
            if registry is not None:
                follow_routes(registry, routes, withdrawn=version if is_taken_back else None)
                end_challenger(registry, version, "rolled_back" if is_taken_back else "done")
        except Exception as error:  # whatever is wrong with the registry, the routes stand
            self._alert(rollout, f"aliases and tags of version {version} are not as the routes are: {error}")
            self._aliases = "unreachable"
            return is_taken_back
        self._aliases = "settled"
        return True

    def _alert(self, rollout: Rollout, problem: str) -> None:
        _log.warning("rollout %d: %s", rollout.id, problem)
        key = f"rollout/{rollout.id}/alert/aliases/{rollout.state}"
        self._record(rollout, Event(rollout.pipeline, key, "alert", detail={"problem": problem}))

    def _record_judgement(self, rollout: Rollout, observation: Observation) -> None:
        judgement = observation.judgement
        if judgement is None:
            return
        key = f"rollout/{rollout.id}/judgement/{rollout.transitions}/{judgement.outcome}"
        if key == self._recorded:
            return
        detail = {
            "step": rollout.step,
            "outcome": judgement.outcome,
            "reasons": list(judgement.reasons),
            "evidence": judgement.evidence,
        }
        self._record(rollout, Event(rollout.pipeline, key, "judgement", detail=detail))
        self._recorded = key

    def _record(self, rollout: Rollout, event: Event) -> None:
        with self.database.transaction() as connection:
            check_token(connection, rollout.id, self._token)
            record_event(connection, replace(event, rollout_id=rollout.id, version=rollout.model.version))


def _settings(rollout: Rollout) -> RolloutSettings:
    if rollout.state in ("rolling_back", "rollback_failed"):
        return RolloutSettings()  # none matter, and those of another version of this package must not be in the way
    return RolloutSettings.parse(rollout.settings, path=f"rollout {rollout.id}")
