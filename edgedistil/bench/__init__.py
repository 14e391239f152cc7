"""Measuring exported files: honest times, memory and accuracy, one fresh process a file; no torch here."""
