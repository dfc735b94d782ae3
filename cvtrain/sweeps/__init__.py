"""From a command line to many runs: planning, stacking, distributing, resuming, searching.

`plan` expands a command line to points, `session` and `sweeper` (or `search`) run one command,
`packing` groups points into jobs, `launcher` and `dispatch` give jobs to an executor of
`executors/`, `resume` and `recorded_command` continue an earlier sweep.
"""
