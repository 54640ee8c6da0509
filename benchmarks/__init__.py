"""Measurements whose figures stand in the docs, and the searches that fixed settings."""
