"""From a command line to many runs."""
