#!/bin/sh
# Three uses of skills on the ant: to begin as the best of them, to choose among them, to imitate a walk.
# Needs a run of pretrain-skills with as many seeds as are trained here; makes the study's files.
# On two cores: some minutes.
#
#   sh experiments/studies/uses_of_skills/run.sh SKILLS [FOLDER]     # SKILLS: a run of ant_goal/diayn_stay, 3 seeds
set -eu
here=$(dirname "$0")
skills=$1
out=${2:-runs/uses}

arm() { # REWARD ARM [hmrl's options]
  reward=$1 arm=$2
  shift 2
  hmrl meta-train ant_goal/ppo --num-seeds 3 --run-dir "$out/$reward/$arm" --resume \
    --set "family.reward=\"$reward\"" --set 'algorithm.ppo.hidden = [128, 128]' "$@"
}

for reward in dense sparse; do
  arm "$reward" scratch
  arm "$reward" best_skill --skills "$skills" --set 'hierarchy.use = "start"'
  arm "$reward" hierarchy --skills "$skills"
done

mkdir -p "$out/walks" "$out/imitation"
python "$here/demonstrate.py" "$out/walks"
for walk in "$out"/walks/*.npz; do
  hmrl imitate "$skills" "$walk" --json >"$out/imitation/$(basename "$walk" .npz).json"
done
PYTHONPATH="$here/.." python "$here/gather.py" "$out"
