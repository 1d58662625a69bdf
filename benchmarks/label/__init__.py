"""Labelling: throughput against transformers, and accuracy on public sets."""
