"""Trainings in one group of processes, for test_fsdp.py: prints nothing, leaves work dirs.

usage: sharded_runs.py CONFIG FOLDER OPTIONS in every process, where OPTIONS is JSON: name -> arguments of launch.train
"""

import json
import sys

import torch.distributed

from mmseq.engine import launch
from mmseq.engine.processes import leave_group


def main() -> None:
    config, folder, plans = sys.argv[1:]
    for name, arguments in json.loads(plans).items():
        launch.train(config, work_dir=f'{folder}/{name}', launcher='pytorch', check_data=False, **arguments)
        torch.distributed.barrier()
    leave_group()


if __name__ == '__main__':
    main()
