#!/bin/sh
# What a ridge that tells noise from signal changes: MAESN on the wheeled robot and HMRL on the ant, trained as the
# arms of ../maesn and ../many_episodes were over least squares.  SKILLS is the `ant_goal/diayn_places` library of the
# latter.  RUN is any meta-run whose advantages are compared.  Half an hour on two cores.
#
#   sh experiments/studies/few_step_baseline/run.sh SKILLS FOLDER RUN...
set -eu
here=$(dirname "$0")
skills=$1
out=$2
shift 2

trained() { # ARM PRESET [hmrl's options]
  arm=$1
  preset=$2
  shift 2
  hmrl meta-train "$preset" --num-seeds 3 --run-dir "$out/$arm" --resume "$@"
}

evaluated() { # NAME [hmrl's options]
  name=$1
  shift
  hmrl eval "$out/$arm" --json --episodes 50 "$@" >"$out/$arm/$name.json"
}

python "$here/advantages.py" "$out/advantages.json" "$@"
trained wheeled wheeled/maesn
evaluated refit --adapt-steps 10 --set evaluation.rule=refit
evaluated own --adapt-steps 10
trained ant_goal ant_goal/explore --skills "$skills" --set hierarchy.steps_per_skill=5 \
  --set hierarchy.stochastic=false
evaluated tuned --split train --num-tasks 8 --adapt-steps 40 --set evaluation.rule=refit \
  --set evaluation.imitation_steps=200 --set evaluation.fallback=0.3 --set evaluation.late_fallback=0.5 \
  --set evaluation.tune_after=10
evaluated own --num-tasks 20 --adapt-steps 10
PYTHONPATH="$here/.." python "$here/gather.py" "$out"
