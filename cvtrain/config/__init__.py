"""From the command line to checked configurations."""
