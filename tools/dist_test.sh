#!/usr/bin/env bash
# Evaluate on several GPUs, or on several CPU processes where there is none.
# usage:   tools/dist_test.sh CONFIG CHECKPOINT PROCESSES [options of tools/test.py]
# example: tools/dist_test.sh configs/upernet_seq2d_s_ade20k.py work_dirs/upernet_seq2d_s_ade20k/iter_160000.pth 8
set -euo pipefail
if [[ $# -lt 3 || $1 == -h || $1 == --help ]]; then
  sed -n '2,4s/^# //p' "$0" >&2
  [[ ${1:-} == -h || ${1:-} == --help ]] && exit 0 || exit 2
fi
exec bash "$(dirname "$0")/dist.sh" test.py "$3" "$1" "$2" "${@:4}"
