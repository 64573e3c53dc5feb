#!/bin/sh
# Does HMRL solve the sparse ant goal of HyperX by its third episode?
#
#   sh experiments/studies/ant_disc/run.sh [FOLDER]
set -eu
. "$(dirname "$0")/../shared/suite.sh"
