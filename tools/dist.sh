#!/usr/bin/env bash
# Common to dist_train.sh and dist_test.sh: start TOOL on PROCESSES processes of this node with torchrun.
# usage: dist.sh TOOL PROCESSES [ARGUMENTS OF THE TOOL ...]
# One node: a free port is found, or PORT is used.
# Several nodes: the same command on each, with NNODES, NODE_RANK (0 on the node of MASTER_ADDR), MASTER_ADDR and PORT
# (29500); LOCAL_ADDR is the address by which the others reach this node, if its host name does not do.
# MAX_RESTARTS (0): how often all processes are started again after one of them ended badly. PYTHON: the interpreter.
set -euo pipefail
tool=$1
processes=$2
shift 2
for setting in "number of processes=$processes" "MAX_RESTARTS=${MAX_RESTARTS:=0}" "NNODES=${NNODES:=1}" \
  "NODE_RANK=${NODE_RANK:=0}"; do
  if ! [[ ${setting#*=} =~ ^[0-9]+$ ]] || [[ ${setting#*=} == 0 && $setting == n* ]]; then
    echo "error: ${setting%%=*} '${setting#*=}': expected a positive number" >&2
    exit 2
  fi
done
if [[ $NNODES == 1 && -z ${PORT:-} ]]; then
  where=(--standalone)
else
  host=${MASTER_ADDR:-127.0.0.1}
  address=${LOCAL_ADDR:-}
  # The first node is where the others look for it.
  [[ $NODE_RANK == 0 ]] && first=1 address=${address:-$host} || first=0
  where=(--nnodes "$NNODES" --rdzv-backend c10d --rdzv-endpoint "$host:${PORT:-29500}" --rdzv-id "${RDZV_ID:-mmseq}"
    --rdzv-conf "is_host=$first,join_timeout=${JOIN_TIMEOUT:-600}" ${address:+--local-addr "$address"})
fi
# By default the store in which the processes look for each other outlives a restart (torch 2.4 to 2.14 at least), and
# new processes find the addresses of dead ones there.
export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1
# One thread per process unless the user says otherwise: more would fight for the same cores.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
exec "${PYTHON:-python}" -m torch.distributed.run "${where[@]}" --max-restarts "$MAX_RESTARTS" \
  --nproc-per-node "$processes" "$(dirname "$0")/$tool" "$@" --launcher pytorch
