#!/bin/sh
# The same search for discs of reward that shrink.
#
#   sh experiments/studies/rare_rewards/run.sh [FOLDER]
set -eu
. "$(dirname "$0")/../shared/suite.sh"
