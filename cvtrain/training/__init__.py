"""Training: from a checked configuration to a run directory."""
