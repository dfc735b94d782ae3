"""Experiments, one per file, named like their YAML in conf/experiment.

A module with a constant ``EXPERIMENT`` is an experiment; `registry` finds it. The other modules are
shared: `interaction` (experiments that compare arms in settings), `linear_problem` and
`linear_runs` (linear regressions), `publish` (makes and writes the report of any sweep).
"""
