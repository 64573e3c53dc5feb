#!/bin/sh
# RL^2 and PEARL on PEARL's sparse point robot, three seeds.
#
#   sh experiments/studies/rl2_and_pearl/run.sh [FOLDER]
set -eu
. "$(dirname "$0")/../shared/suite.sh"
