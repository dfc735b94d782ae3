"""What concerns the process: signals, errors, lifetime, optional packages."""
