"""What is served: manifests, labels, weights and the network."""
