"""Kills and outages against real processes, by subject: ``make drills SUBJECT=canary``. Not part of ``make test``."""
