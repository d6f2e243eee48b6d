#!/usr/bin/env bash
# Train on several GPUs, or on several CPU processes where there is none: mmseq train CONFIG --gpus PROCESSES.
# usage:   tools/dist_train.sh CONFIG PROCESSES [options of tools/train.py]
# example: MAX_RESTARTS=3 tools/dist_train.sh configs/upernet_seq2d_s_ade20k.py 8 --amp
# Environment: PYTHON, the interpreter (python); what tools/train.py --help says of several processes.
set -euo pipefail
if [[ $# -lt 2 || $1 == -h || $1 == --help ]]; then
  sed -n '2,5s/^# //p' "$0" >&2
  [[ ${1:-} == -h || ${1:-} == --help ]] && exit 0 || exit 2
fi
exec "${PYTHON:-python}" "$(dirname "$0")/train.py" "$1" "${@:3}" --gpus "$2"
