#!/bin/sh
# The demo's three runs with five seeds: writes the files beside this script.  Half an hour on two cores at most.
#
#   sh experiments/results/wheeled/run.sh [FOLDER]
set -eu
here=$(dirname "$0")
out=${1:-runs/wheeled-results}
hmrl pretrain-skills wheeled/demo --num-seeds 5 --run-dir "$out/skills" --resume
hmrl meta-train wheeled/demo --skills "$out/skills" --num-seeds 5 --run-dir "$out/hmrl" --resume
hmrl meta-train wheeled/demo --num-seeds 5 --run-dir "$out/maesn" --resume
for split in test hidden; do
  hmrl eval "$out/hmrl" "$out/maesn" --split $split --reward sparse
done
hmrl compare "$out/hmrl" "$out/maesn" --json >"$here/compare.json"
hmrl report "$out/hmrl" "$out/maesn" -o "$here/curves.svg"
cp "$out/skills/skills.json" "$out/skills/skills.svg" "$here"
for run in skills hmrl maesn; do
  mkdir -p "$here/$run"
  cp "$out/$run/config.toml" "$out/$run/provenance.json" "$out/$run/metrics.jsonl" "$here/$run"
done
cp -r "$out/hmrl/eval" "$here/hmrl"
cp -r "$out/maesn/eval" "$here/maesn"
