#!/bin/sh
# HMRL at MAESN's own setting: its body, goals on a half ring, two seconds of 100 Hz.
#
#   sh experiments/studies/published_setting/run.sh [FOLDER]
set -eu
. "$(dirname "$0")/../shared/suite.sh"
