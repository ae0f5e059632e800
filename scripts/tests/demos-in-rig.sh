#!/bin/busybox sh
# shellcheck shell=dash
# Runs inside the rig: every demo of $DEMOS, with its JSON and exit status in /out. Demos are
# independent, so one that fails does not keep the others from running.
echo "$DEMOS" | while read -r name _ options; do
  if [ -n "$name" ]; then
    echo "demo $name: vmm-run $DEMO $options"
    # shellcheck disable=SC2086 # words
    timeout 600 vmm-run $DEMO $options >"/out/$name.json" </dev/null
    echo $? >"/out/$name.status"
    sync
  fi
done
