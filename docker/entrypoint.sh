#!/bin/sh
# Runs a process of the service in place of this shell, so that it gets the signals that end it. Flags of `polyveil serve` may
# follow; or `worker`, and flags of `polyveil worker`.
set -eu
cd "$(dirname "$0")/.."
role=serve
if [ "${1-}" = worker ]; then
  role=worker
  shift
fi
# SIGUSR1 would start the inspector.
exec node --disable-sigusr1 dist/cli/main.js "$role" "$@"
