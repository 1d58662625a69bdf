"""Automatic labels for documents: labelers, their models, and the stage that applies them to a corpus.

Where to look: ``stage`` sends the ``rows`` of a corpus to the labelers that ``fitting`` has made of the settings, one
a language (``routing``), after a look at a ``sample`` of the texts (``refinement``) and at ``known_labels``
(``calibration``). ``labelers`` chooses the kind: ``embedding``, ``nli``, ``classifier``, ``few_shot``, or ``llm``.
Models run in ``network``. ``explain`` tells the words that carried a label, ``report`` what the stage did; ``review``
is the spot check by people.

May import ``exceptions``, ``settings``, ``tracking`` and ``corpus``; never Airflow. torch and transformers are loaded
only when there is a text to label.
"""

from airflow_provider_autoglm.labeling.stage import label

__all__ = ["label"]
