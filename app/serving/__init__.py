"""Between HTTP and the network: the pipeline, its batcher, and the life of a service."""
