"""One check a module: each gives its findings as they come."""
