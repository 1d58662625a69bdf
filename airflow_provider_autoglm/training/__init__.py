"""Fitting, packaging and judging text classifiers."""
