#!/bin/busybox sh
# shellcheck shell=dash
# Runs inside the rig: swap on a scratch disk, then the tracking matrix with $GRANULARITIES, and what else
# needs swap or many huge pages.
set -eu
disk=/dev/rig/disk0
mkswap "$disk" >/dev/null
swapon "$disk"
TRACKING_MATRIX=/out/matrix.jsonl TRACKING_GRANULARITIES=$GRANULARITIES TRACKING_EVERY=$EVERY \
  /usr/bin/bundle --testing-library swift-testing \
  --filter '^(VMMTests\.(TrackingMatrix|PreallocatedHugePages)Tests|HostPagesTests\..*[sS]wapped)' \
  --event-stream-output-path /out/events.json --event-stream-version 0
