"""The commands: each parses its command line and prints; what they do is in the other packages."""

from cvtrain.process.environment import set_environment

# Here, since every command comes by, and torch reads some of the variables when it is loaded.
set_environment()
