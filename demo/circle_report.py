"""The circle as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from demo.checks import check_line
from demo.circle import Circle
from demo.docstrings import NEW_AREA
from demo.held_out import comparison_line
from demo.rollouts import rollout_lines


def circle_lines(circle: Circle) -> Iterator[str]:
    """Checks, what the new version holds, the models before and after, and what names what."""
    yield f"Clients bring a new area: {NEW_AREA}"
    for check in circle.checks:
        yield f"  {check_line(check)}"
    dataset = circle.dataset
    yield (
        f"  dataset version {dataset.version}: {dataset.rows} rows, {dataset.from_traffic} of them from traffic, "
        f"{dataset.labels_told} with a label that a client told"
    )
    yield (
        f"    of the new area {dataset.of_the_new_area}: {dataset.told} with a label that a client told, "
        f"{dataset.of_the_new_area - dataset.told} labelled automatically; {dataset.right} have the right label"
    )
    yield f"  version {circle.model.version} ({circle.model.method}): {circle.model.url}"
    yield f"  {comparison_line('the new area', circle.new_area)}"
    yield f"  {comparison_line('the known areas', circle.known_areas)}"
    yield "  " + " -> ".join(_links(circle))
    yield ""
    yield from rollout_lines(circle.rollout)


def _links(circle: Circle) -> Iterator[str]:
    chain = circle.chain()
    yield f"check {chain['check']}"
    yield f"answered by {chain['answered_by']}"
    reasons, checks = (", ".join(map(str, chain[name])) for name in ("dataset_reasons", "dataset_checks"))
    yield f"dataset version {chain['dataset_version']} (reasons: {reasons}; checks: {checks})"
    tags = ", ".join(f"{tag} = {value}" for tag, value in sorted(chain["model_tags"].items()))
    yield f"model version {chain['model_version']} ({tags})"
    yield f"rollout {chain['rollout']} (started by {chain['rollout_started_by']}, {chain['rollout_state']})"
    yield f"champion {chain['champion']}"
