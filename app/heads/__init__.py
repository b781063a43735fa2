"""Fitting a head on features, and saying what it is worth: functions of arrays, no files, no command line."""
