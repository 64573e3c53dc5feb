#!/bin/sh
# The full skills of the wheeled robot, five seeds.  Some minutes on two cores.
#
#   sh experiments/studies/skill_libraries/wheeled.sh [FOLDER]
set -eu
hmrl pretrain-skills wheeled/diayn --num-seeds 5 --run-dir "${1:-runs/skills}/wheeled/diayn" --resume
