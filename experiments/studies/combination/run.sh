#!/bin/sh
# Every arm, meta-trained dense, then adapted to sparse goals by its own inner update and by exploring; how arms explore
# before any update; and what one skill earns that leads through the goal.  Makes the study's files.
#
#   sh experiments/studies/combination/run.sh [FOLDER]
set -eu
here=$(dirname "$0")
out=${1:-runs/combination}
export PYTHONPATH="$here/.."

hmrl suite run "$here/../../suites/combination.toml" --out "$out" -j 2
for arm in "$out"/meta/*/*; do
  case $arm in *skills_only* | *hmrl_maml*) continue ;; esac
  python "$here/../shared/exploration.py" "$arm/exploration" "$arm"/seeds*
done
python "$here/skill_cost.py" "$out/skill_cost.json" "$out"/skills/wheeled/main/seeds* "$out"/skills/wheeled/first/seeds*
python "$here/gather.py" "$out"
