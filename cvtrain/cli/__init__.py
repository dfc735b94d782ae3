"""The commands: each parses its command line and prints; other packages do the work."""

from cvtrain.process.environment import set_environment

# Here, since every command comes by, and torch reads some of the variables when it is loaded.
set_environment()
