#!/bin/sh
# Running tasks of the literature, meta-trained and tested on dense reward: returns after 0, 1 and 2 episodes or updates.
# Four seeds, because two cores train four in the time of three; test goals of a draw of their own (split_seed).
#
#   sh experiments/studies/locomotion/run.sh [FOLDER [FAMILY [ARM...]]]
#
# A FAMILY is half_cheetah_vel, half_cheetah_dir, ant_vel or ant_dir; an ARM is rl2, pearl, maml or maesn.  A finished
# part is not repeated.  Without FAMILY and ARM: what has been measured.
set -eu
here=$(dirname "$0")
out=${1:-runs/locomotion}
[ $# -gt 0 ] && shift
family=${1:-half_cheetah_vel}
[ $# -gt 0 ] && shift
arms=${*:-rl2 maml pearl}

for arm in $arms; do
  run=$out/$family/$arm
  updates='--adapt-steps 2'
  case $arm in
  rl2 | pearl) updates='--adapt-steps 2 --episodes 1' ;;
  maml | maesn) ;;
  *) echo "no arm $arm" >&2 && exit 2 ;;
  esac
  hmrl meta-train "$family/$arm" --num-seeds 4 --run-dir "$run" --resume >/dev/null
  for split in test hidden; do
    file=$run/$split-dense.json
    [ -s "$file" ] && continue
    hmrl eval "$run" --json --split "$split" --reward dense $updates --set evaluation.split_seed=20261211 >"$file.part"
    mv "$file.part" "$file"
  done
done
PYTHONPATH="$here/.." python "$here/gather.py" "$out"
