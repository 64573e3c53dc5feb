#!/bin/sh
# MAESN's protocol beside its baselines, and how arms explore before any update; makes the study's files.  Hours on two
# cores, and more with the long trainings at the authors' time scale.
#
#   sh experiments/studies/maesn/run.sh [FOLDER]
set -eu
here=$(dirname "$0")
out=${1:-runs/maesn}
export PYTHONPATH="$here/.."

hmrl suite run "$here/../../suites/maesn.toml" --out "$out" -j 2
for arm in "$out"/meta/*/*; do
  case $arm in */scratch) continue ;; esac
  python "$here/../shared/exploration.py" "$arm/exploration" "$arm"/seeds*
done
python "$here/gather.py" "$out"
