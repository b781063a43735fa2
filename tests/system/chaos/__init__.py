"""What bad days do to the service, and that it holds."""
