#!/bin/sh
# Wanted speeds on the half-cheetah of Gym, whose returns compare with published ones.
#
#   sh experiments/studies/gym/run.sh [FOLDER]
set -eu
. "$(dirname "$0")/../shared/suite.sh"
