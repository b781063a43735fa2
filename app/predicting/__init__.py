"""Photographs classified without the HTTP, in words and pictures: what scripts/predict.py shows."""
