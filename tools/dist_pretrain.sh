#!/usr/bin/env bash
# Pretrain on several GPUs, or on several CPU processes where there is none: mmseq pretrain BACKBONE --gpus PROCESSES.
# usage:   tools/dist_pretrain.sh BACKBONE PROCESSES --data DATA [options of tools/pretrain.py]
# example: tools/dist_pretrain.sh sequencer2d_s 8 --data imagenet --amp
# Environment: PYTHON, the interpreter (python); what tools/pretrain.py --help says of several processes.
set -euo pipefail
if [[ $# -lt 2 || $1 == -h || $1 == --help ]]; then
  sed -n '2,5s/^# //p' "$0" >&2
  [[ ${1:-} == -h || ${1:-} == --help ]] && exit 0 || exit 2
fi
exec "${PYTHON:-python}" "$(dirname "$0")/pretrain.py" "$1" "${@:3}" --gpus "$2"
