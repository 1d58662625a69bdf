"""Models at work: ``text_network`` reads texts in batches (``tokens``, ``pooling``) of what fits into ``memory``.

A model is loaded once a process (``placed``) onto its ``device``, with its linear layers as they are fastest there
(``packing``, ``int8``). May import what its parent may; never Airflow.
"""
