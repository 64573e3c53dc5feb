#!/bin/sh
# Goals that keep only the distance from the start: a learned prior with and without its places turned.
#
#   sh experiments/studies/turned/run.sh [FOLDER]
set -eu
. "$(dirname "$0")/../shared/suite.sh"
