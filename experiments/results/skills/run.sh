#!/bin/sh
# Skill libraries without reward: trains them, and writes what they are beside this script.
# On one core: the wheeled robot two minutes a preset, the others ten to twenty.
#
#   sh experiments/results/skills/run.sh [FOLDER [FAMILY/PRESET...]]
set -eu
here=$(dirname "$0")
out=${1:-runs/skills}
[ $# -eq 0 ] || shift
presets=${*:-wheeled/diayn_ppo wheeled/vic wheeled/vic_fixed wheeled/dads ant_goal/diayn_stay ant_goal/diayn_places
  ant_goal/diayn_free ant_goal/metra ant_goal/csf pusher/diayn_ppo half_cheetah_vel/diayn_ppo
  half_cheetah_dir/diayn_ppo}

for preset in $presets; do
  hmrl pretrain-skills "$preset" --num-seeds 3 --run-dir "$out/$preset" --resume
  mkdir -p "$here/$preset"
  for file in config.toml provenance.json metrics.jsonl skills.json skills.svg; do
    cp "$out/$preset/$file" "$here/$preset"
  done
done
python "$here/gather.py" "$here"
