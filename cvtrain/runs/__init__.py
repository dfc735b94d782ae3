"""The run directory: what is written into it, and nothing about why."""
