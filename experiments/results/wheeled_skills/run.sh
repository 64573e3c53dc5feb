#!/bin/sh
# The full skills of the wheeled robot, five seeds: writes the files beside this script.  Some minutes on two cores.
#
#   sh experiments/results/wheeled_skills/run.sh [FOLDER]
set -eu
here=$(dirname "$0")
out=${1:-runs/skills/wheeled/diayn}
hmrl pretrain-skills wheeled/diayn --num-seeds 5 --run-dir "$out" --resume
mkdir -p "$here/skills"
cp "$out/skills.json" "$out/skills.svg" "$here"
cp "$out/config.toml" "$out/provenance.json" "$out/metrics.jsonl" "$here/skills"
