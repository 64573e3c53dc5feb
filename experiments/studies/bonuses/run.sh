#!/bin/sh
# PPO from scratch on sparse rewards, alone and with every bonus, at equal steps; each seed has one goal of its own.
# Makes the study's files.  On one core: a quarter of an hour, the ant some hours more.
#
#   sh experiments/studies/bonuses/run.sh [FOLDER [FAMILY...]]      # sparse_point, wheeled and ant_maze
set -eu
here=$(dirname "$0")
out=${1:-runs/bonuses}
[ $# -eq 0 ] || shift
families=${*:-sparse_point wheeled ant_maze}

arm() { # FAMILY BONUS [hmrl's options]
  family=$1 bonus=$2
  shift 2
  [ "$bonus" = none ] || set -- --set "bonus.name=$bonus" "$@"
  hmrl meta-train "$family/ppo" --num-seeds "$seeds" --run-dir "$out/$family/$bonus" --resume "$@"
}

# Weights were chosen on other seeds, whose training goals are others too.
for family in $families; do
  case $family in
    sparse_point) seeds=10 icm=0.1 rnd=0.03 counts=0.1 cell=0.1 gain=0.03 length=0.25 ;;
    wheeled) seeds=10 icm=1 rnd=1 counts=0.3 cell=0.25 gain=1 length=0.5 ;;
    ant_maze) seeds=3 icm=0.1 rnd=0.1 counts=0.1 cell=0.25 gain=0.1 length=0.5 ;;
    *) echo "run.sh: found $family; must be sparse_point, wheeled or ant_maze" >&2 && exit 2 ;;
  esac
  arm "$family" none
  arm "$family" icm --set "bonus.weight=$icm"
  arm "$family" rnd --set "bonus.weight=$rnd" --set bonus.observe=xy
  arm "$family" counts --set "bonus.weight=$counts" --set "bonus.cell=$cell"
  arm "$family" information_gain --set "bonus.weight=$gain" --set "bonus.length_scale=$length"
done
PYTHONPATH="$here/.." python "$here/gather.py" "$out"
