"""From run directories to tables, statistics and answers; no drawing.

`load` reads a sweep, `arms` labels its runs, `grid` arranges them by seed and learning rate.
`best_lr` and `optimum` choose learning rates, `registration` (with `curves`) lays learning-rate
curves on each other, `exact_pairs` finds runs that a law makes equal. `compare` combines these in a
`comparison`, from which `evidence` and `verdict` derive each `answer`. `inspection` and the modules
named after it belong to `cvtrain inspect`.
"""
