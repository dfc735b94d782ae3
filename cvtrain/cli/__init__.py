"""The commands: each parses its command line and prints; what they do is in the other packages."""
