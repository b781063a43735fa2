"""One benchmark a module: what ``scripts/benchmark.py`` measures and prints."""
