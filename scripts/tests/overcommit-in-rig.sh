#!/bin/busybox sh
# shellcheck shell=dash
# Runs inside the rig: two Linux guests that take turns with memory, and have more in all than the host gives them: a cgroup's
# limit, without swap. Arguments: MIB-OF-EACH MIB-OF-THE-LIMIT MIB-IN-USE, then modes of --memory-hints; guests for each mode.
# Of each, /out has overcommit-MODE.limit (events of the limit, then the most that was in use, in bytes), .resident (KiB of
# both, again and again), .status of both, and overcommit-MODE-1.console and so on. What they must show is in overcommit.sh.

memory=$1 limit=$2 use=$3
shift 3

# shellcheck disable=SC2034 # for what is sourced
step=overcommit
# shellcheck source=scripts/tests/balloons-in-rig.sh
. /balloons-in-rig.sh

echo +memory >/sys/fs/cgroup/cgroup.subtree_control

# start MODE NUMBER
start() {
  mkfifo "/tmp/$1-$2.input"
  # In the cgroup from its first instruction on. The limit of time is for guests that hang.
  sh -c "echo \$\$ >/sys/fs/cgroup/$1/cgroup.procs; exec timeout -s KILL 900 vmm-run run --vmbus --kernel /guest/6.12/vmlinuz \
    --initrd /guest/6.12/initrd --memory ${memory}M --memory-hints $1 --append 'console=ttyS0 panic=-1 quiet'" \
    <>"/tmp/$1-$2.input" >"/out/overcommit-$1-$2.console" 2>"/out/overcommit-$1-$2.stderr" &
}

# ended MODE: one of both is gone.
ended() {
  [ ! -e "/proc/$first/exe" ] || [ ! -e "/proc/$second/exe" ] || [ "$(sed -n 's/^oom_kill //p' "/sys/fs/cgroup/$1/memory.events")" -gt 0 ]
}

reached() {
  told "$1-$2" "$3" || ended "$1"
}

# say MODE NUMBER WORD: to the guest, which does something about it; unless one of both is gone.
say() {
  ended "$1" && return
  echo "$3" >"/tmp/$1-$2.input"
  await 300 reached "$1" "$2" "done $3"
}

# watch MODE
watch() {
  while sleep 2; do
    residents=''
    while read -r process; do
      while read -r key resident _; do
        if [ "$key" = VmRSS: ]; then residents="$residents $resident"; fi
      done <"/proc/$process/status"
    done <"/sys/fs/cgroup/$1/cgroup.procs" 2>/dev/null
    read -r now _ </proc/uptime
    echo "$now$residents"
  done >"/out/overcommit-$1.resident"
}

# run MODE: two guests.
run() {
  mkdir "/sys/fs/cgroup/$1"
  echo "${limit}M" >"/sys/fs/cgroup/$1/memory.max"
  start "$1" 1
  first=$!
  start "$1" 2
  second=$!
  watch "$1" &
  watcher=$!
  for number in 1 2; do await 300 reached "$1" $number listens; done
  # Each uses as much as fits once, and no more is in use at a time.
  for turn in 1 2 3; do
    number=$(((turn + 1) % 2 + 1))
    say "$1" $number "use $use $turn"
    say "$1" $number "free $turn"
  done
  for number in 1 2; do echo end >"/tmp/$1-$number.input" & done
  wait "$first"
  status=$?
  wait "$second"
  echo "$status $?" >"/out/overcommit-$1.status"
  kill "$watcher"
  cat "/sys/fs/cgroup/$1/memory.events" "/sys/fs/cgroup/$1/memory.peak" >"/out/overcommit-$1.limit"
  echo "overcommit-$1: status $(cat "/out/overcommit-$1.status") at $(cut -d ' ' -f 1 /proc/uptime) s"
}

jobs=''
for mode; do
  run "$mode" &
  jobs="$jobs $!"
done
# Not for who has an end to tell to a guest that is gone.
# shellcheck disable=SC2086 # several
wait $jobs
