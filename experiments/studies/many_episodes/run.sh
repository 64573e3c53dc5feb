#!/bin/sh
# What adaptation comes to in 2,000 episodes of a task, where the policy is tuned to it after it has explored: refit,
# imitation and a fallback for the first ten updates, clipped policy-gradient steps for the thirty after them.  Flat
# MAESN, a controller from scratch over skills, and HMRL, all of which decide every five steps, are meta-trained dense
# (the controller from scratch: not at all) and adapt to sparse goals, of the training distribution (test) and outside
# of it (hidden).  LIBRARY is the name of the directory SKILLS; for a second library its arms alone run.  There are as
# many seeds as the library has.  On two cores and with three seeds the wheeled robot takes half an hour; the ant, with
# half as many tasks, a quarter of an hour for each arm and split, beside training.  When all have run:
# PYTHONPATH=experiments/studies python experiments/studies/many_episodes/gather.py FOLDER
#
#   sh experiments/studies/many_episodes/run.sh FAMILY SKILLS FOLDER [hmrl's options over skills]
#
# FAMILY is wheeled or ant_goal.
set -eu
family=$1
skills=$2
library=$(basename "$skills")
seeds=$(sed -n 's/^num_seeds = //p' "$skills/config.toml")
out=$3/$family
shift 3
k=5
case $family in
  ant_goal) tasks=20 ;;
  *) tasks=40 ;;
esac

arm() { # ARM [hmrl's options]
  arm=$1
  shift
  run=$out/$arm
  hmrl meta-train "$family/explore" --num-seeds "$seeds" --run-dir "$run" --resume "$@"
  for split in hidden test; do
    file=$run/$split.json
    [ -e "$file" ] || {
      hmrl eval "$run" --json --split $split --num-tasks $tasks --adapt-steps 40 --episodes 50 \
        --set evaluation.rule=refit --set evaluation.imitation_steps=200 --set evaluation.fallback=0.3 \
        --set evaluation.late_fallback=0.5 --set evaluation.tune_after=10 >"$file.part"
      mv "$file.part" "$file"
    }
  done
}

arm maesn_repeat --set training.action_repeat=$k
arm "$library/hmrl" --skills "$skills" --set hierarchy.steps_per_skill=$k "$@"
# a controller that has learned nothing: one update that may not move it
arm "$library/skills_only" --skills "$skills" --set hierarchy.steps_per_skill=$k --set training.epochs=1 \
  --set training.updates_per_epoch=1 --set 'algorithm.outer="trust_region"' \
  --set algorithm.trust_region.max_divergence=1e-12 "$@"
