#!/bin/sh
# Skills that are places, searched by the learned prior, by the broad one, and by both.
#
#   sh experiments/studies/places/run.sh [FOLDER]
set -eu
. "$(dirname "$0")/../shared/suite.sh"
