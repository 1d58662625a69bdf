"""Cleaning: one file a subject, from patterns and characters to the stage. Imports settings and the corpus alone."""

from airflow_provider_autoglm.corpus.clean.stage import clean, clean_table
from airflow_provider_autoglm.corpus.clean.text import CleanedTexts, clean_text, cleaned_texts

__all__ = ["CleanedTexts", "clean", "clean_table", "clean_text", "cleaned_texts"]
