"""K networks of one architecture as one module."""
