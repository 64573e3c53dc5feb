#!/bin/sh
# Runs a command in a Slurm job: tells it of the signals that the batch shell gets, and queues the job again where
# its time was up before the command had ended.
#
#   sh experiments/batch/requeue.sh COMMAND [ARGUMENT...]
#
# USR1 is what `--signal=B:USR1@SECONDS` sends before the time limit, TERM what preemption does, after which Slurm
# requeues by itself.
set -u
time_is_up=
child=
early= # signals that came before there was anyone to tell
tell() {
  told=1
  if [ "$child" ]; then
    kill -s "$1" -- "-$child" 2>/dev/null || kill -s "$1" "$child" 2>/dev/null # all processes of the command
  else
    early="$early $1"
  fi
}
trap 'time_is_up=1; tell USR1' USR1
trap 'tell TERM' TERM
setsid "$@" &
child=$!
for signal in $early; do tell "$signal"; done
code=127
while # a signal ends the waiting, too, with a code that is not the command's
  told=
  wait "$child"
  ended=$?
  [ "$ended" -eq 127 ] || code=$ended # 127: there is nothing left to wait for
  [ "$told" ]
do :; done
if [ "$code" -ne 0 ] && [ "$time_is_up" ]; then
  echo "requeue: exit code $code when the time was up; job $SLURM_JOB_ID is queued again" >&2
  exec scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
