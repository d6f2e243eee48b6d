#!/usr/bin/env bash
# Train on several GPUs, or on several CPU processes where there is none.
# usage:   tools/dist_train.sh CONFIG PROCESSES [options of tools/train.py]
# example: tools/dist_train.sh configs/upernet_seq2d_s_ade20k.py 8 --amp
set -euo pipefail
if [[ $# -lt 2 || $1 == -h || $1 == --help ]]; then
  sed -n '2,4s/^# //p' "$0" >&2
  [[ ${1:-} == -h || ${1:-} == --help ]] && exit 0 || exit 2
fi
exec bash "$(dirname "$0")/dist.sh" train.py "$2" "$1" "${@:3}"
