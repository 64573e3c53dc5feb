#!/bin/sh
# MAML on 2-D navigation, five seeds: makes the study's files.  Some twenty minutes on two cores.
#
#   sh experiments/studies/maml/run.sh [FOLDER]
set -eu
here=$(dirname "$0")
out=${1:-runs/maml}
hmrl meta-train point/maml --num-seeds 5 --run-dir "$out/maml" --resume
hmrl eval "$out/maml" --split test --reward dense
PYTHONPATH="$here/.." python "$here/gather.py" "$out"
