"""Two versions of the model compared on texts that were never sent to the gateway."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from airflow_provider_autoglm.tracking.registry import Registry, download_model
from airflow_provider_autoglm.training.packaged import PackagedModel
from demo.texts import Text


@dataclass(frozen=True)
class Comparison:
    """How many of ``rows`` texts each of two versions gets right, and how many one of them alone.

    ``p_value`` is McNemar's, exact: how likely such a difference is between two equally good versions.
    """

    rows: int
    before: int
    after: int
    only_before: int
    only_after: int
    p_value: float

    @classmethod
    def of(cls, texts: Sequence[Text], before: Sequence[str], after: Sequence[str]) -> Self:
        """Compare the answers of two versions to ``texts`` with their areas."""
        from scipy.stats import binomtest

        first = [answer == text.area for text, answer in zip(texts, before, strict=True)]
        second = [answer == text.area for text, answer in zip(texts, after, strict=True)]
        only_first = sum(a and not b for a, b in zip(first, second, strict=True))
        only_second = sum(b and not a for a, b in zip(first, second, strict=True))
        differing = only_first + only_second
        p_value = float(binomtest(only_second, differing).pvalue) if differing else 1.0
        return cls(len(texts), sum(first), sum(second), only_first, only_second, p_value)

    @property
    def accuracy_before(self) -> float:
        """Share of right answers of the earlier version; 0 without any text."""
        return self.before / self.rows if self.rows else 0.0

    @property
    def accuracy_after(self) -> float:
        """Share of right answers of the later version; 0 without any text."""
        return self.after / self.rows if self.rows else 0.0


def answers_of(registry: Registry, version: str, texts: Sequence[Text], work_dir: Path) -> list[str]:
    """The labels that a registered version gives, asked here: what a gateway answers becomes traffic."""
    registered = registry.version(version)
    folder = work_dir / f"v{version}"
    download_model(registered.model_uri, registered.digest, str(folder), registry.client)
    return list(PackagedModel.open(str(folder)).predict([text.text for text in texts]).labels)


def comparison_line(what: str, comparison: Comparison) -> str:
    """The comparison for a terminal."""
    return (
        f"{comparison.rows} texts of {what} that nobody sent: {comparison.accuracy_before:.1%} right before, "
        f"{comparison.accuracy_after:.1%} after (p = {comparison.p_value:.2g})"
    )
