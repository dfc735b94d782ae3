"""Where jobs are trained: in this process, in several, on a Ray cluster, by SLURM."""
