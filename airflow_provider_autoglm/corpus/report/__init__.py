"""What the reports of all stages share: rows set aside with examples, distributions, and the page they stand on.

Imports settings and the corpus alone; each stage has its own ``report`` and ``report_page``.
"""
