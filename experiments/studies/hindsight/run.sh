#!/bin/sh
# Skills that are places, by three learners: PPO, soft actor-critic, and soft actor-critic with hindsight.  Five
# minutes on two cores.
#
#   sh experiments/studies/hindsight/run.sh [FOLDER]
set -eu
. "$(dirname "$0")/../shared/suite.sh"
