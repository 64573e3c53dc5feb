#!/bin/sh
# HMRL at MAESN's own setting: its bodies, goals on a half ring, two seconds of 100 Hz.  100 sparse episodes are 20,000
# steps a goal, a fiftieth of what its authors have.
#
#   sh experiments/studies/published_setting/run.sh [FOLDER [FAMILY...]]
set -eu
here=$(dirname "$0")
out=${1:-runs/published_setting}
[ $# -gt 0 ] && shift
families=${*:-wheeled}
seeds=3
stops=1 # place an episode
fresh=20261207
batches=25

. "$here/../shared/places.sh"

for family in $families; do
  case $family in
  wheeled)
    body='--set family.dt=0.01 --set family.horizon=200 --set family.mass=10.2 --set family.turning_inertia=0.28
      --set family.wheel_inertia=0.0131 --set family.wheel_radius=0.1 --set family.half_track=0.2
      --set family.rolling_drag=0.0 --set family.turning_drag=0.0 --set family.friction=0.4'
    long='--set training.epochs=60'
    ;;
  ant_goal)
    body='--set family.dt=0.01 --set family.horizon=200 --set family.substeps=2 --set family.gear=30.0'
    long=''
    ;;
  *) echo "no family $family" >&2 && exit 2 ;;
  esac
  library "$family" "$family/vgcrl" --set algorithm.redraw=0.002 --set algorithm.ppo.discount=0.99 $long $body
  world "$family" "$family" $body
done
PYTHONPATH="$here/.." python "$here/gather.py" "$out"
