"""What ``scripts/check-gpu`` looks at: everything of the service that a device has to show."""
