#!/bin/sh
# Skills that are places, and three ways to search them for a sparse reward: evenly, by the learned prior, and by both.
# Goals of a WORLD lie on a part of a ring or an arena while training, hidden ones on the rest.  Numbers are of a draw
# of goals of their own (split_seed).  Libraries are shared by worlds.  On two cores all worlds but maesn took an hour
# and a half beside other work.
#
#   sh experiments/studies/places/run.sh [FOLDER [WORLD...]]
set -eu
here=$(dirname "$0")
out=${1:-runs/places}
[ $# -gt 0 ] && shift
worlds=${*:-ring maesn ring_eighth arena6_eighth arena12_eighth point point_eighth ant ant_eighth}
seeds=4
fresh=20261213
stops=2 # places an episode

. "$here/../shared/places.sh"

maesn() { # once for each split, in the episodes of the other arms; without skills it explores as in ../combination
  hmrl meta-train wheeled/explore --run-dir "$out/maesn" --num-seeds $seeds --resume --set family.horizon=200 \
    --set training.action_repeat=5 >/dev/null
  hmrl meta-train wheeled/explore --run-dir "$out/maesn_places" --num-seeds $seeds --resume --set family.horizon=200 \
    --skills "$skills" --set hierarchy.steps_per_skill=5 --set hierarchy.stochastic=false >/dev/null
  for split in test hidden; do
    run=$out/maesn
    batches=2
    measured "$run/$split-explore.json" --split $split --episodes 20 --set evaluation.rule=refit \
      --set evaluation.imitation_steps=200 --set evaluation.fallback=0.3 --set evaluation.late_fallback=0.5
    run=$out/maesn_places
    batches=10
    measured "$run/$split-relabel.json" --split $split --episodes 4 --set evaluation.rule=relabel \
      --set evaluation.fallback=0.5
  done
}

narrow='--set family.sector=0.125'
for name in $worlds; do
  batches=10
  case $name in
  ring | ring_eighth | maesn) library wheeled wheeled/vgcrl ;;
  arena6*) library wheeled6 wheeled/vgcrl --set algorithm.reach=6 --set algorithm.redraw=0.006 \
    --set family.horizon=300 --set training.epochs=30 ;;
  arena12*) library wheeled12 wheeled/vgcrl --set algorithm.reach=12 --set algorithm.redraw=0.005 \
    --set family.horizon=400 --set training.epochs=40 ;;
  point*) library sparse_point sparse_point/vgcrl ;;
  ant*) library ant_goal ant_goal/vgcrl ;;
  esac
  case $name in
  ring) world ring wheeled ;;
  maesn) maesn ;;
  ring_eighth) world ring_eighth wheeled $narrow ;;
  arena6_eighth) world arena6_eighth wheeled $narrow --set family.goals=arena --set family.goal_radius=6 \
    --set family.horizon=300 ;;
  arena12_eighth) world arena12_eighth wheeled $narrow --set family.goals=arena \
    --set family.goal_radius=12 --set family.horizon=400 ;;
  point) world point sparse_point ;;
  point_eighth) world point_eighth sparse_point $narrow ;;
  ant) world ant ant_goal ;;
  ant_eighth) world ant_eighth ant_goal $narrow ;;
  *) echo "no world $name" >&2 && exit 2 ;;
  esac
done
PYTHONPATH="$here/.." python "$here/gather.py" "$out"
