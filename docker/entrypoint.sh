#!/bin/sh
# Runs the service in place of this shell, so that it gets the signals that end it. Flags of `polyveil serve` may follow.
set -eu
cd "$(dirname "$0")/.."
# SIGUSR1 would start the inspector.
exec node --disable-sigusr1 dist/cli/main.js serve "$@"
