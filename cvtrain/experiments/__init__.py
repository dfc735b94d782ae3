"""One file per experiment: what it compares, and the report on its runs."""
