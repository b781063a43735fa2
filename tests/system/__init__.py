"""Trials of the whole: load, chaos, fuzzing, deployment. The doors to them are in ``scripts/``."""
