"""Reports on run directories: a `document` of sentences, tables and figures, and its renderings.

`lr_sweep` makes the report on learning rates, `paired_comparison`, `sweep_diff` and `combined`
those on two methods and on several sweeps. `console`, `html`, `latex` and `export` render a
document; `boards` writes means over seeds for TensorBoard, which `served_runs` selects.
"""
