"""What a network is made of, layer by layer: what scripts/inspect_model.py shows."""
