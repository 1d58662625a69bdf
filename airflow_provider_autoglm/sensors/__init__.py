"""Sensors: wait, without a worker, for what the loop finds out."""
