"""Which process of a run this is, before torch.distributed knows."""

import os


def world_size() -> int:
    """Processes of this run."""
    return int(os.environ.get('WORLD_SIZE', os.environ.get('SLURM_NTASKS', '1')))


def is_first_process() -> bool:
    """Whether this process has rank 0, which prints and writes for all."""
    return os.environ.get('RANK', os.environ.get('SLURM_PROCID', '0')) == '0'


def rank() -> int:
    """The number of this process in its run."""
    return int(os.environ.get('RANK', os.environ.get('SLURM_PROCID', '0')))
