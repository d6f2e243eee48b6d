#!/usr/bin/env bash
# Train as a Slurm job, which saves and goes back into the queue when it is preempted or its time ends.
# usage:   tools/slurm_train.sh PARTITION JOB_NAME CONFIG [options of tools/train.py]
# example: GPUS=16 SEEDS=0-2 tools/slurm_train.sh gpu upernet configs/upernet_seq2d_s_ade20k.py --amp
# Environment: GPUS, GPUS_PER_NODE, CPUS_PER_TASK, SEEDS (an array of jobs), NOTICE, SBATCH_ARGS: see tools/slurm.sh.
set -euo pipefail
if [[ $# -lt 3 || $1 == -h || $1 == --help ]]; then
  sed -n '2,5s/^# //p' "$0" >&2
  [[ ${1:-} == -h || ${1:-} == --help ]] && exit 0 || exit 2
fi
exec bash "$(dirname "$0")/slurm.sh" train.py "$@"
