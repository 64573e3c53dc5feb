#!/bin/sh
# The same search for discs of reward that shrink: places of skills, searched evenly, by the learned prior, and by both.
# Training goals lie on an eighth of a ring or arena, hidden ones on the rest.  In 2-D navigation they lie around the
# start, and farther out; the pusher has its own.  Goals are of a draw of their own (split_seed), the same ones for every
# disc of a world, but for the arena of the wheeled robot, where a smaller disc allows nearer goals.
#
#   sh experiments/studies/rare_rewards/run.sh [FOLDER [WORLD...]]
set -eu
here=$(dirname "$0")
out=${1:-runs/rare_rewards}
[ $# -gt 0 ] && shift
worlds=${*:-point reacher wheeled ant navigation pusher}
seeds=4
fresh=20261214
batches=25

. "$here/../shared/places.sh"

discs() { # FAMILY RADII [hmrl's options]
  family=$1
  radii=$2
  shift 2
  for radius in $radii; do
    world "${name}_$radius" "$family" --set family.sparse_radius="$radius" "$@"
  done
}

narrow='--set family.sector=0.125'
for name in $worlds; do
  [ "$name" = pusher ] && stops=1 || stops=2 # places an episode
  case $name in
  wheeled)
    long='--set family.horizon=300'
    library wheeled wheeled/vgcrl --set algorithm.reach=6 --set algorithm.redraw=0.006 --set training.epochs=30 $long
    discs wheeled "0.8 0.4 0.2" $narrow $long --set family.goals=arena --set family.goal_radius=6
    ;;
  point) library sparse_point sparse_point/vgcrl && discs sparse_point "0.2 0.1 0.05" $narrow ;;
  reacher) library reacher reacher/vgcrl && discs reacher "0.04 0.02 0.01" $narrow ;;
  navigation) library point point/vgcrl && discs point 0.1 ;;
  ant) library ant_goal ant_goal/vgcrl && discs ant_goal "0.8 0.4 0.2" $narrow ;;
  pusher) library pusher pusher/vgcrl && discs pusher "0.2 0.1" ;;
  *) echo "no world $name" >&2 && exit 2 ;;
  esac
done
PYTHONPATH="$here/.." python "$here/gather.py" "$out"
