#!/usr/bin/env bash
# Common to slurm_train.sh and slurm_test.sh: hand TOOL to Slurm as a batch job; inside the job it runs itself again.
# usage: slurm.sh TOOL PARTITION JOB_NAME [ARGUMENTS OF THE TOOL ...]
# Environment: GPUS (8), GPUS_PER_NODE (8, or GPUS if that is less; 0 without GPUs), CPUS_PER_TASK (5), SEEDS (as
# sbatch --array takes it, "0-4": one job per seed, each in its own seed_N below --work-dir), NOTICE (120: seconds
# before the end of the job's time or its preemption at which it saves and goes back into the queue), SBATCH_ARGS
# (further options of sbatch), PYTHON (python).
set -euo pipefail

submit() {
  local tool=$1 partition=$2 name=$3
  shift 3
  local gpus=${GPUS:-8}
  local per_node=${GPUS_PER_NODE:-$((gpus < 8 ? gpus : 8))}
  local options=(--partition "$partition" --job-name "$name" --ntasks "$gpus" --cpus-per-task "${CPUS_PER_TASK:-5}"
    --requeue --open-mode append --signal "USR1@${NOTICE:-120}")
  if ((per_node > 0)); then
    options+=(--ntasks-per-node "$per_node" --gres "gpu:$per_node")
  fi
  if [[ -n ${SEEDS:-} ]]; then
    options+=(--array "$SEEDS")
  fi
  # SBATCH_ARGS is a list of words.
  # shellcheck disable=SC2206
  options+=(${SBATCH_ARGS:-})
  # Slurm runs a copy of this script, which has to be told where the tools are.
  export MMSEQ_TOOLS
  MMSEQ_TOOLS=$(cd "$(dirname "$0")" && pwd)
  exec sbatch "${options[@]}" "$0" --in-job "$tool" "$@"
}

# Sets `arguments`: --seed and a work dir of its own for a job of an array.
for_this_seed() {
  arguments=() work_dir=''
  local argument previous=''
  for argument in "$@"; do
    if [[ $previous == --work-dir ]]; then
      work_dir=$argument
      unset 'arguments[-1]'
    elif [[ $argument == --work-dir=* ]]; then
      work_dir=${argument#*=}
    else
      arguments+=("$argument")
    fi
    previous=$argument
  done
  work_dir=${work_dir:-work_dirs/$(basename "$1" .py)}
  arguments+=(--seed "$SLURM_ARRAY_TASK_ID" --work-dir "$work_dir/seed_$SLURM_ARRAY_TASK_ID")
}

in_job() {
  local tool=$1 status=0
  shift
  arguments=("$@")
  if [[ -n ${SLURM_ARRAY_TASK_ID:-} ]]; then
    for_this_seed "$@"
  fi
  MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
  # Jobs that share a node must not share a port.
  MASTER_PORT=${MASTER_PORT:-$((20000 + SLURM_JOB_ID % 10000))}
  export MASTER_ADDR MASTER_PORT OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
  # A task that ends before the others is not to have them killed: all end with 75, and srun hands on the highest status.
  srun --kill-on-bad-exit=0 --wait=60 "${PYTHON:-python}" "$MMSEQ_TOOLS/$tool" "${arguments[@]}" --launcher slurm || status=$?
  # The status of a run that was told to make room and has saved.
  if ((status == 75)); then
    echo "saved; job $SLURM_JOB_ID goes back into the queue"
    scontrol requeue "$SLURM_JOB_ID"
    exit 0
  fi
  exit "$status"
}

if [[ $1 == --in-job ]]; then
  in_job "${@:2}"
else
  submit "$@"
fi
