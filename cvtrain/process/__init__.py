"""The process itself: errors, exit status, signals, lifetime, limits, printed text."""
