"""Decoder processes: any bytes at all, and no picture can hold the service."""
