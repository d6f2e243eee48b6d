#!/usr/bin/env bash
# Evaluate as a Slurm job.
# usage:   tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [options of tools/test.py]
# example: GPUS=8 tools/slurm_test.sh gpu eval configs/upernet_seq2d_s_ade20k.py iter_160000.pth --out predictions
# Environment: GPUS, GPUS_PER_NODE, CPUS_PER_TASK, SBATCH_ARGS: see tools/slurm.sh.
set -euo pipefail
if [[ $# -lt 4 || $1 == -h || $1 == --help ]]; then
  sed -n '2,5s/^# //p' "$0" >&2
  [[ ${1:-} == -h || ${1:-} == --help ]] && exit 0 || exit 2
fi
exec bash "$(dirname "$0")/slurm.sh" test.py "$@"
