#!/bin/sh
# Does an episode that goes to several places, one after another, find a sparse reward sooner?
# Skills that are places, searched by both priors and by the broad one, at 1, 2 or 3 places an episode, the slow ant at
# 1 or 2; and by the learned prior alone at 2.  In the world `disc` the ant's goals fill a disc of 3 m, of radius 0.75 m
# each, and it learns after each of six episodes, as in HyperX's sparse task.  Goals are of a draw of their own
# (split_seed).  A finished part is not repeated.
#
#   sh experiments/studies/tours/run.sh [FOLDER [WORLD...]]
set -eu
here=$(dirname "$0")
out=${1:-runs/tours}
[ $# -gt 0 ] && shift
worlds=${*:-point wheeled ant disc}
seeds=4
fresh=20261212

. "$here/../shared/places.sh"

searched() { # SPLIT EPISODES STOPS
  for stops in $3; do
    measured "$run/$1-both-$stops.json" --split "$1" --episodes "$2" --set evaluation.relabel.stops=$stops
    measured "$run/$1-broad-$stops.json" --split "$1" --episodes "$2" --set evaluation.relabel.stops=$stops \
      --set evaluation.relabel.broad=1
  done
}

for name in $worlds; do
  batches=10
  case $name in
  point) library sparse_point sparse_point/vgcrl && prior point sparse_point ;;
  wheeled) library wheeled wheeled/vgcrl && prior wheeled wheeled ;;
  ant) library ant_goal ant_goal/vgcrl && prior ant ant_goal ;;
  disc)
    library ant_goal ant_goal/vgcrl
    prior disc ant_goal --set family.goals=arena --set family.goal_radius=3 --set family.sparse_radius=0.75 \
      --set family.sector=0.99
    ;;
  *) echo "no world $name" >&2 && exit 2 ;;
  esac
  if [ "$name" = disc ]; then
    batches=5
    searched test 1 '1 2'
  else
    [ "$name" = ant ] && places='1 2' || places='1 2 3'
    searched test 4 "$places"
    searched hidden 4 "$places"
    measured "$run/test-learned-2.json" --split test --episodes 4 --set evaluation.relabel.stops=2 \
      --set evaluation.relabel.broad=0
  fi
done
PYTHONPATH="$here/.." python "$here/gather.py" "$out"
