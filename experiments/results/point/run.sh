#!/bin/sh
# MAML on 2-D navigation, five seeds: writes the files beside this script.  Some twenty minutes on two cores.
#
#   sh experiments/results/point/run.sh [FOLDER]
set -eu
here=$(dirname "$0")
out=${1:-runs/point-results}
hmrl meta-train point/maml --num-seeds 5 --run-dir "$out/maml" --resume
hmrl eval "$out/maml" --split test --reward dense
hmrl compare "$out/maml" --json >"$here/compare.json"
hmrl report "$out/maml" -o "$here/curves.svg"
mkdir -p "$here/maml"
cp "$out/maml/config.toml" "$out/maml/provenance.json" "$out/maml/metrics.jsonl" "$here/maml"
cp -r "$out/maml/eval" "$here/maml"
