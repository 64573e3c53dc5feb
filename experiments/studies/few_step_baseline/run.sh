#!/bin/sh
# What a ridge that tells noise from signal changes: the suite, and advantages of the policy of each RUN, which is any
# meta-run of maml or maesn.
#
#   sh experiments/studies/few_step_baseline/run.sh FOLDER RUN...
set -eu
here=$(dirname "$0")
out=$1
shift

hmrl suite run "$here/../../suites/few_step_baseline.toml" --out "$out" -j 2
python "$here/advantages.py" "$out/advantages.json" "$@"
PYTHONPATH="$here/.." python "$here/gather.py" "$out"
