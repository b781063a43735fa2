"""What ``scripts/benchmark.py`` is made of: uploads, a simulated network, servers to compare, a client for them."""
