# shellcheck shell=dash
# shellcheck disable=SC2154 # step: what the guests' files in /out begin with, set by who sources this
# Sourced inside the rig: who runs guests with a balloon asks their control sockets by the program `/tmp/asker`, and waits for what
# they tell on their consoles and in their events.

# By another name: a run is found by its own.
cp /usr/bin/vmm-run /tmp/asker

# given NAME BYTES: its balloon has had that size.
given() {
  grep -q "\"balloon-reached\".*\"actual_bytes\":$2}" "/out/$step-$1.events"
}

# await SECONDS COMMAND...: waits for it.
await() {
  left=$1
  shift
  while ! "$@" && [ "$left" -gt 0 ]; do
    sleep 2
    left=$((left - 2))
  done
}

# told NAME TEXT: the guest has told that.
told() {
  tr -d '\r' <"/out/$step-$1.console" | grep -q "^@ $2\$"
}
