"""The offline half: from where weights are published to weights that the service may load."""
