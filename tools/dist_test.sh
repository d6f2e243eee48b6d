#!/usr/bin/env bash
# Evaluate on several GPUs, or on several CPU processes where there is none: mmseq test CONFIG CHECKPOINT --gpus N.
# usage:   tools/dist_test.sh CONFIG CHECKPOINT PROCESSES [options of tools/test.py]
# example: tools/dist_test.sh configs/upernet_seq2d_s_ade20k.py work_dirs/upernet_seq2d_s_ade20k/iter_160000.pth 8
# Environment: PYTHON, the interpreter (python); what tools/test.py --help says of several processes.
set -euo pipefail
if [[ $# -lt 3 || $1 == -h || $1 == --help ]]; then
  sed -n '2,5s/^# //p' "$0" >&2
  [[ ${1:-} == -h || ${1:-} == --help ]] && exit 0 || exit 2
fi
exec "${PYTHON:-python}" "$(dirname "$0")/test.py" "$1" "$2" "${@:4}" --gpus "$3"
