"""From run directories, and nothing else, to what they say."""
