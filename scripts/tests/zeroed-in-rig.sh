#!/bin/busybox sh
# shellcheck shell=dash
# Runs inside the rig: Linux guests that ask which memory is zero, side by side. Arguments: SERIES-CPUS-WHAT..., where WHAT is
# the bus that their balloon is on, vmbus or virtio. Of each, /out has zeroed-NAME.console, .stderr, .status and .events. What
# they must show is in zeroed.sh.

# shellcheck disable=SC2034 # for what is sourced
step=zeroed
# shellcheck source=scripts/tests/balloons-in-rig.sh
. /balloons-in-rig.sh

# grown NAME: by 256 MiB.
grown() {
  /tmp/asker ctl "/tmp/$1.sock" metrics | grep -xF 'vmm_memory_bytes{class="added"} 268435456' >/dev/null
}

# say NAME WORD: to the guest, which does something about it.
say() {
  echo "$2" >"/tmp/$1.input"
  await 120 told "$1" "done $2"
}

# save NAME OPTION...: the guest goes on in another process from what was saved.
save() {
  /tmp/asker ctl "/tmp/$1.sock" pause
  /tmp/asker ctl "/tmp/$1.sock" snapshot now >/dev/null
  /tmp/asker ctl "/tmp/$1.sock" shutdown
  wait "$vmm"
  name=$1
  shift
  timeout -s KILL 200 vmm-run restore "/tmp/$name.saved/now" "$@" <"/tmp/$name.input" \
    >>"/out/zeroed-$name.console" 2>>"/out/zeroed-$name.stderr" &
  vmm=$!
}

# run NAME: one guest, with its memory in each state.
run() {
  series=${1%%-*} what=${1##*-} cpus=${1#*-} memory=320M,max=576M bus=--vmbus
  if [ "$what" = virtio ]; then memory=320M bus='--balloon 0'; fi
  mkfifo "/tmp/$1.input"
  # Stays open for both ways.
  exec 3<>"/tmp/$1.input"
  set -- "$1" --control "unix:/tmp/$1.sock" --snapshots "/tmp/$1.saved"
  # shellcheck disable=SC2086 # an option and its value
  # The limit is for guests that hang.
  timeout -s KILL 400 vmm-run run --kernel "/guest/$series/vmlinuz" --initrd "/guest/$series/initrd" $bus \
    --cpus "${cpus%-*}" --memory "$memory" "$2" "$3" "$4" "$5" \
    --append "console=ttyS0 panic=-1 quiet memhp_default_state=online $what" <"/tmp/$1.input" \
    >"/out/zeroed-$1.console" 2>"/out/zeroed-$1.stderr" &
  vmm=$!
  while [ ! -S "/tmp/$1.sock" ]; do sleep 0.2; done
  /tmp/asker ctl "/tmp/$1.sock" events >"/out/zeroed-$1.events" &
  await 120 told "$1" listens
  say "$1" started
  say "$1" use
  say "$1" freed
  /tmp/asker ctl "/tmp/$1.sock" resize 64M >/dev/null
  await 200 given "$1" 67108864
  say "$1" ballooned
  /tmp/asker ctl "/tmp/$1.sock" resize 0 >/dev/null
  await 60 given "$1" 0
  say "$1" returned
  if [ "$what" = vmbus ]; then
    /tmp/asker ctl "/tmp/$1.sock" resize memory 576M >/dev/null
    await 200 grown "$1"
    say "$1" grown
  fi
  save "$@"
  say "$1" saved
  echo end >"/tmp/$1.input"
  wait "$vmm"
  echo $? >"/out/zeroed-$1.status"
  echo "zeroed-$1: status $(cat "/out/zeroed-$1.status") at $(cut -d ' ' -f 1 /proc/uptime) s"
}

for guest in "$@"; do run "$guest" & done
wait
