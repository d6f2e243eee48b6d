#!/usr/bin/env bash
# Train on several GPUs, or on several CPU processes where there is none.
# usage:   tools/dist_train.sh CONFIG PROCESSES [options of tools/train.py]
# example: MAX_RESTARTS=3 tools/dist_train.sh configs/upernet_seq2d_s_ade20k.py 8 --amp
# Environment: MAX_RESTARTS (0) after a process died, each time going on from the newest checkpoint of this run;
# several nodes with NNODES, NODE_RANK, MASTER_ADDR, PORT: see tools/dist.sh.
set -euo pipefail
if [[ $# -lt 2 || $1 == -h || $1 == --help ]]; then
  sed -n '2,6s/^# //p' "$0" >&2
  [[ ${1:-} == -h || ${1:-} == --help ]] && exit 0 || exit 2
fi
exec bash "$(dirname "$0")/dist.sh" train.py "$2" "$1" "${@:3}"
