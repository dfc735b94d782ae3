"""Backends that train jobs: in this process, in several, on a Ray cluster, by SLURM."""
