#!/usr/bin/env bash
# Common to dist_train.sh and dist_test.sh: start TOOL on PROCESSES processes of this node with torchrun.
# usage: dist.sh TOOL PROCESSES [ARGUMENTS OF THE TOOL ...]
# One node: a free port is found, or PORT is used. Several nodes: NNODES, NODE_RANK, MASTER_ADDR and PORT (29500).
# PYTHON names the interpreter (python).
set -euo pipefail
tool=$1
processes=$2
shift 2
if ! [[ $processes =~ ^[1-9][0-9]*$ ]]; then
  echo "error: number of processes '$processes': expected a positive number" >&2
  exit 2
fi
nodes=${NNODES:-1}
if [[ $nodes == 1 && -z ${PORT:-} ]]; then
  where=(--standalone)
else
  where=(--nnodes "$nodes" --node-rank "${NODE_RANK:-0}"
    --master-addr "${MASTER_ADDR:-127.0.0.1}" --master-port "${PORT:-29500}")
fi
# One thread per process unless the user says otherwise: more would fight for the same cores.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
exec "${PYTHON:-python}" -m torch.distributed.run "${where[@]}" --nproc-per-node "$processes" \
  "$(dirname "$0")/$tool" "$@" --launcher pytorch
