#!/bin/sh
# The field's locomotion tasks with dense reward, by RL^2, PEARL, MAML, ProMP and MAESN: returns after 0, 1 and 2
# episodes or updates.  Three seeds.
#
#   sh experiments/studies/locomotion/run.sh [FOLDER [FAMILY [ARM...]]]
#
# A FAMILY is half_cheetah_vel, half_cheetah_dir, ant_vel, ant_dir or ant_fb, which is MAML's ant ahead and back.
set -eu
here=$(dirname "$0")
out=${1:-runs/locomotion}
families=${2:-half_cheetah_vel half_cheetah_dir ant_vel ant_dir ant_fb}
[ $# -gt 0 ] && shift
[ $# -gt 0 ] && shift
arms=${*:-rl2 pearl maml promp maesn}

for name in $families; do
  family=$name body=
  [ "$name" = ant_fb ] && family=ant_dir body='--set family.directions=both'
  for arm in $arms; do
    run=$out/$name/$arm
    given="--set family.name=$family $body"
    updates='--adapt-steps 2'
    case $arm in
    rl2 | pearl) preset=half_cheetah_vel/$arm updates='--adapt-steps 2 --episodes 1' ;;
    maml | maesn) preset=$family/$arm ;;
    promp) preset=$family/maml given="$given --set algorithm.outer=clipped --set algorithm.inner_surrogate=ratio" ;;
    *) echo "no arm $arm" >&2 && exit 2 ;;
    esac
    hmrl meta-train "$preset" --num-seeds 3 --run-dir "$run" --resume $given >/dev/null
    for split in test hidden; do
      file=$run/$split-dense.json
      [ -s "$file" ] && continue
      hmrl eval "$run" --json --split $split --reward dense $updates --set evaluation.split_seed=20261211 >"$file.part"
      mv "$file.part" "$file"
    done
  done
done
PYTHONPATH="$here/.." python "$here/gather.py" "$out"
