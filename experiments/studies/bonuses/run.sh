#!/bin/sh
# PPO from scratch on sparse rewards, alone and with every bonus, at equal steps; each seed has one goal of its own.
# On one core: a quarter of an hour, the ant some hours more.
#
#   sh experiments/studies/bonuses/run.sh [FOLDER]
set -eu
. "$(dirname "$0")/../shared/suite.sh"
