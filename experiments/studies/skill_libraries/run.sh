#!/bin/sh
# Skill libraries without reward.  On one core: the wheeled robot two minutes a preset, the others ten to twenty.
# The study's files are made of FOLDER when wheeled.sh and trials.sh have run there, too:
# PYTHONPATH=experiments/studies python experiments/studies/skill_libraries/gather.py FOLDER
#
#   sh experiments/studies/skill_libraries/run.sh [FOLDER [FAMILY/PRESET...]]
set -eu
out=${1:-runs/skills}
[ $# -eq 0 ] || shift
presets=${*:-wheeled/diayn_ppo wheeled/vic wheeled/vic_fixed wheeled/dads ant_goal/diayn_stay ant_goal/diayn_places
  ant_goal/diayn_free ant_goal/metra ant_goal/csf pusher/diayn_ppo half_cheetah_vel/diayn_ppo
  half_cheetah_dir/diayn_ppo}

for preset in $presets; do
  hmrl pretrain-skills "$preset" --num-seeds 3 --run-dir "$out/$preset" --resume
done
