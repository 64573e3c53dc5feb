#!/bin/sh
# What might make MAESN learn the pusher faster, tried on one seed.  On two cores some seven minutes an arm.
#
#   sh experiments/studies/pusher/run.sh [FOLDER]
set -eu
. "$(dirname "$0")/../shared/suite.sh"
