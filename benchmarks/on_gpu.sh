#!/usr/bin/env bash
# All that only a GPU can tell, in one command:
#
#     benchmarks/on_gpu.sh FOLDER [arguments of gpu_inference.py]
#
# Into FOLDER go a report of the environment, the tests of the kernels on the device, and the table of inference (JSON
# and page). A step that fails is reported, and the next one runs all the same. Nothing of the device is set. PYTHON
# names the interpreter (python3); it needs torch, triton and lark, and pytest with hypothesis for the tests.
set -uo pipefail

if [ $# -lt 1 ]; then
    echo "usage: $0 FOLDER [arguments of benchmarks/gpu_inference.py]" >&2
    exit 2
fi
mkdir -p "$1" || exit 2
out=$(cd "$1" && pwd)
shift
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root" || exit 2
export PYTHONPATH=$root:$root/backends${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1
unset TRITON_INTERPRET NETDSL_TRITON_INTERPRET
python=${PYTHON:-python3}
failed=0

step() { # name, seconds at most, command …
    local name=$1 limit=$2
    shift 2
    printf '\n=== %s\n' "$name"
    timeout "$limit" "$@" 2>&1 | tee "$out/$name.txt"
    local code=${PIPESTATUS[0]}
    [ "$code" -eq 0 ] || { echo "$name ended with $code"; failed=1; }
}

"$python" -c 'import sys, torch; sys.exit(0 if torch.cuda.is_available() else 2)' ||
    { echo "there is no CUDA device, or no PyTorch, for $python" >&2; exit 2; }

nvidia-smi >"$out/nvidia-smi.txt" 2>&1
step environment 60 "$python" -c '
import json
from netdsl_triton.bench import machine
print(json.dumps(machine.describe("cuda"), indent=1))
print(json.dumps(machine.clocks("cuda"), indent=1))'

if "$python" -c 'import pytest, hypothesis' 2>/dev/null; then
    TRITON_INTERPRET=0 step tests 180 "$python" -m pytest -q -m gpu -p no:cacheprovider tests
else
    echo "pytest or hypothesis is missing: the tests of the kernels are left out" | tee "$out/tests.txt"
    failed=1
fi

step inference 1200 "$python" benchmarks/gpu_inference.py --output "$out/inference.json" "$@"
step page 120 "$python" benchmarks/make_page.py --folder "$out" --page "$out/gpu.md"
exit $failed
