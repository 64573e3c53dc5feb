#!/bin/sh
# Every arm, meta-trained dense, then adapted to sparse goals of the training distribution (test) and outside of it
# (hidden), by its own inner update and by exploring: refit, imitation and a fallback.  LIBRARY is the name of the
# directory SKILLS.  There are as many seeds as the library has; for a second library of as many, its arms alone run.
# On two cores: wheeled with five seeds some forty minutes, ant_goal with three an hour and more.  When both families
# have run: PYTHONPATH=experiments/studies python experiments/studies/combination/gather.py FOLDER
#
#   sh experiments/studies/combination/run.sh FAMILY SKILLS [FOLDER [hmrl's options over skills]]
#
# FAMILY is wheeled or ant_goal.
set -eu
here=$(dirname "$0")
family=$1
skills=$2
library=$(basename "$skills")
seeds=$(sed -n 's/^num_seeds = //p' "$skills/config.toml")
out=${3:-runs/combination}/$family
shift $(($# < 3 ? $# : 3))
k=5

measured() { # ARM NAME [hmrl's options]: once
  file=$out/$1/$2.json
  run=$out/$1
  shift 2
  [ -e "$file" ] && return
  hmrl eval "$run" --json "$@" >"$file.part"
  mv "$file.part" "$file"
}

arm() { # ARM [hmrl's options]
  arm=$1
  shift
  hmrl meta-train "$family/explore" --num-seeds "$seeds" --run-dir "$out/$arm" --resume "$@"
  for split in test hidden; do
    measured "$arm" $split-own --split $split $own
    # half of the fallback's episodes hold a skill from the start, half from where the policy has led
    measured "$arm" $split-explore --split $split --set evaluation.rule=refit --set evaluation.imitation_steps=200 \
      --set evaluation.fallback=0.3 --set evaluation.late_fallback=0.5
  done
}

own=
halved='--set evaluation.step_decay=0.5 --set evaluation.step_floor=0.5' # MAML's authors' steps at test time
arm maml_repeat $halved --set algorithm.name=maml --set training.action_repeat=$k
arm maesn_repeat --set training.action_repeat=$k
# a controller that has learned nothing: one update that may not move it.  A latent that it never learned to heed moves
# nothing either; so its own update is a policy gradient.
own='--set evaluation.tune_after=0'
arm "$library/skills_only" --skills "$skills" --set hierarchy.steps_per_skill=$k --set training.epochs=1 \
  --set training.updates_per_epoch=1 --set 'algorithm.outer="trust_region"' \
  --set algorithm.trust_region.max_divergence=1e-12 "$@"
own=
arm "$library/hmrl_maml" $halved --skills "$skills" --set hierarchy.steps_per_skill=$k --set algorithm.name=maml "$@"
arm "$library/hmrl" --skills "$skills" --set hierarchy.steps_per_skill=$k "$@"
# how they explore before any update
export PYTHONPATH="$here/.."
python "$here/../shared/exploration.py" "$out/exploration" "$out/maesn_repeat" "$out/maml_repeat"
python "$here/../shared/exploration.py" "$out/$library/exploration" "$out/$library/hmrl"
