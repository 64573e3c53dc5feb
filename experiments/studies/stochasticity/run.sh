#!/bin/sh
# Chance where it may matter for a search over places.  Three seeds; a quarter of an hour on two cores.
#
#   sh experiments/studies/stochasticity/run.sh [FOLDER]
set -eu
. "$(dirname "$0")/../shared/suite.sh"
