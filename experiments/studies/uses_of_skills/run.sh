#!/bin/sh
# Three uses of skills on the ant: to begin as the best of them, to choose among them, to imitate a walk.
# The suite has the first two, and trains the skills.  On two cores: some minutes, and the skills more.
#
#   sh experiments/studies/uses_of_skills/run.sh [FOLDER]
set -eu
here=$(dirname "$0")
out=${1:-runs/uses_of_skills}

hmrl suite run "$here/../../suites/uses_of_skills.toml" --out "$out" -j 2
mkdir -p "$out/walks" "$out/imitation"
python "$here/demonstrate.py" "$out/walks"
for walk in "$out"/walks/*.npz; do
  hmrl imitate "$out/skills/ant_goal/stay/seeds0-2" "$walk" --json >"$out/imitation/$(basename "$walk" .npz).json"
done
PYTHONPATH="$here/.." python "$here/gather.py" "$out"
