"""The human spot check: which texts people are asked about, what they answer, and what that says of all labels.

Where to look: ``draw`` chooses from the ``population`` a random ``sample`` and the ``suspicious`` texts, and puts them,
as ``shown``, into ``forms``; ``answers`` are kept; ``decide`` puts them together (``tally``), reckons the ``estimate``
with its ``limits``, comes to a ``verdict`` and writes the corpus. May import what its parent may; never Airflow.
"""

from airflow_provider_autoglm.labeling.review.answers import keep_answers
from airflow_provider_autoglm.labeling.review.decide import ReviewResult, decide
from airflow_provider_autoglm.labeling.review.draw import draw
from airflow_provider_autoglm.labeling.review.estimate import Estimate
from airflow_provider_autoglm.labeling.review.forms import Form, FormRow, forms_of, open_form
from airflow_provider_autoglm.settings.label import NONE_OF_THESE

__all__ = [
    "NONE_OF_THESE",
    "Estimate",
    "Form",
    "FormRow",
    "ReviewResult",
    "decide",
    "draw",
    "forms_of",
    "keep_answers",
    "open_form",
]
