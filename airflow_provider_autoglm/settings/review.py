"""Settings of the human spot check."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from airflow_provider_autoglm.settings.base import Settings


class ReviewSettings(Settings):
    """How people check labels before a dataset is published."""

    mode: Literal["off", "ask"] = Field(
        default="off",
        description="`ask`: the run waits for people who label a sample of its texts; `off`: the dataset says that it "
        "is unreviewed.",
    )
    target_accuracy: float = Field(
        default=0.8,
        ge=0,
        le=1,
        description="Share of right labels that the run needs: it passes when the whole interval lies above, fails "
        "when all of it lies below; between, more texts are asked for, and after them the estimate decides.",
    )
    margin: float = Field(
        default=0.05, gt=0, le=0.5, description="Half the width of the interval that is wanted; sets the sample's size."
    )
    confidence: float = Field(
        default=0.95, ge=0.5, lt=1, description="How often the interval is to hold the true share of right labels."
    )
    expected_accuracy: float = Field(
        default=0.8,
        ge=0.5,
        lt=1,
        description="Share of right labels that the sample's size is reckoned for; lower asks for more texts.",
    )
    suspicious_texts: int = Field(
        default=50,
        ge=0,
        le=1_000,
        description="Texts shown beside the sample because their label looks wrong or is missing; they are corrected "
        "and never counted in the estimate.",
    )
    suspicious_pool: int = Field(
        default=5_000, ge=100, le=100_000, description="Texts, drawn evenly, among which wrong labels are looked for."
    )
    form_texts: int = Field(default=25, ge=1, le=25, description="Texts of one form.")
    shown_characters: int = Field(default=600, ge=50, le=10_000, description="Characters of a text that a form shows.")
    second_round: bool = Field(default=True, description="Ask for more texts when the first answers do not decide.")
    on_no_answer: Literal["wait", "fail", "pass"] = Field(
        default="wait",
        description="When people do not answer within `timeout_hours`: `wait` waits for each form, however long, "
        "`fail` fails the run, `pass` publishes as unreviewed and says so in dataset and model.",
    )
    timeout_hours: float = Field(
        default=72.0, gt=0, le=8_760, description="Hours to wait for the answer to a form; not for `wait`."
    )
    min_answered: float = Field(
        default=0.8, gt=0, le=1, description="Share of the sample to be answered, or the run counts as unanswered."
    )
