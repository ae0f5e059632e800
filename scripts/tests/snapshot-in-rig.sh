#!/bin/busybox sh
# shellcheck shell=dash
# Runs inside the rig: Linux guests that are saved again and again while they work, and go on each time in another
# process; the last time they move there without a stop. Of each, /out has snapshot-SERIES.console with all that it wrote,
# .stderr, .saved (how often), .migrated (what the source said of the move) and .status.
#
# And OVMF's shell with what a PC for Windows has: what was set in it before it is saved is there after that.
#
# Arguments: how often each is saved, how many rounds each works, then the guests: SERIES-CPUS, SERIES-CPUS-vmbus for one with
# VMBus, SERIES-CPUS-tpm for one with a TPM.
#
# With LEAVE=1 a guest is left in /out/left once it is saved so often, with all that it needs: on another host it is in /left, and
# goes on from there.

times=$1 rounds=$2
shift 2

# The gateway that passt makes up is this host; pings go to its address. As root it becomes this user, and who may ping:
# passt has no privileges.
ip link set lo up
ip address add 10.0.2.2/32 dev lo
echo 'nobody:x:65534:65534::/:/bin/false' >>/etc/passwd
echo '0 2147483647' >/proc/sys/net/ipv4/ping_group_range

# wait_for FILE LINES: until that many rounds are on the console, or its process is gone.
wait_for() {
  while kill -0 "$job" 2>/dev/null && [ "$(grep -c '^@ round' "$1")" -lt "$2" ]; do sleep 0.1; done
}

# await PATTERN: on the shell's console, two minutes at most.
await() {
  tries=600
  while ! grep -qE "$1" "/out/$name.console" && kill -0 "$job" 2>/dev/null && [ $tries -gt 0 ]; do
    tries=$((tries - 1))
    sleep 0.2
  done
}

# keys TEXT: typed at the console. Firmware loses what comes too fast.
keys() {
  # shellcheck disable=SC2059 # the escapes are meant
  printf "$1" >&7
  sleep 1
}

save_shell() {
  name=snapshot-shell
  mkfifo /tmp/keys
  cp /guest/disk.img /tmp/shell.img
  set -- --control unix:/tmp/vm.sock --snapshots /tmp/saved
  timeout -s KILL 300 vmm-run run --firmware /usr/share/OVMF/OVMF_CODE_4M.fd --vars /tmp/vars.fd --memory 256M --cpus 2 \
    --disk /tmp/shell.img --cdrom none --display 1024x768 --usb tablet --tpm /tmp/tpm "$@" \
    </tmp/keys >"/out/$name.console" 2>"/out/$name.stderr" &
  job=$!
  exec 7>/tmp/keys
  await 'startup\.nsh'
  keys '\033'
  await 'Shell>'
  keys 'set -v kept yes\r'
  {
    vmm-run ctl /tmp/vm.sock pause
    vmm-run ctl /tmp/vm.sock snapshot shell
    vmm-run ctl /tmp/vm.sock shutdown
  } >/dev/null 2>>"/out/$name.stderr"
  wait "$job"
  timeout -s KILL 300 vmm-run restore /tmp/saved/shell "$@" \
    </tmp/keys >>"/out/$name.console" 2>>"/out/$name.stderr" &
  job=$!
  sleep 1
  keys 'echo it is kept: %%kept%%\r'
  await 'it is kept: yes'
  keys 'reset -s\r'
  wait "$job"
  echo $? >"/out/$name.status"
  exec 7>&-
  echo "$name: status $(cat "/out/$name.status") at $(cut -d ' ' -f 1 /proc/uptime) s"
}

# move_guest: the last life is another process's, without a stop.
move_guest() {
  timeout -s KILL 300 vmm-run receive unix:/tmp/move --control unix:/tmp/moved.sock --serial "file:$console.moved" \
    </dev/null 2>"/out/$name.receiver" &
  moved=$!
  while ! grep -qs 'waiting for a machine' "/out/$name.receiver" && kill -0 "$moved" 2>/dev/null; do sleep 0.1; done
  kill -USR1 "$job"
  sleep 1
  vmm-run ctl /tmp/vm.sock migrate unix:/tmp/move >"/out/$name.migrated" 2>>"/out/$name.stderr"
  wait "$job" || echo "ended with $?" >>"/out/$name.stderr"
  # A heartbeat later.
  sleep 3
  kill -USR1 "$moved"
  wait "$moved"
  echo $? >"/out/$name.status"
}

# leave_guest: times go along, as a disk is known by its own.
leave_guest() {
  mkdir -p "/out/left/$name"
  cp -a /tmp/saved/now /tmp/disk.img "$console" "/out/left/$name/"
  if [ "$tpm" != none ]; then cp -a "$tpm" "/out/left/$name/tpm"; fi
  /usr/bin/stat -c %y /tmp/disk.img >"/out/left/$name/time"
  echo "$name: left at $(cut -d ' ' -f 1 /proc/uptime) s"
}

find_guest() {
  mkdir -p /tmp/saved
  cp -a "/left/$name/now" /tmp/saved/
  cp "/left/$name/disk.img" /tmp/
  cp "/left/$name/${console##*/}" "$console"
  if [ "$tpm" != none ]; then cp -a "/left/$name/tpm" "$tpm"; fi
  /usr/bin/touch -d "$(cat "/left/$name/time")" /tmp/disk.img
}

if [ -z "$LEAVE" ] && [ ! -d /left ]; then save_shell; fi

for guest; do
  name=snapshot-$guest series=${guest%%-*} tpm=none vmbus=''
  cpus=${guest#*-} cpus=${cpus%%-*}
  case $guest in
    *-tpm) tpm=/tmp/tpm.$series ;;
    *-vmbus) vmbus=--vmbus ;;
  esac
  console=/tmp/$name.console
  cp /guest/disk.img /tmp/disk.img
  rm -rf /tmp/saved
  set -- --control unix:/tmp/vm.sock --snapshots /tmp/saved
  saved=0
  if [ -d "/left/$name" ]; then
    find_guest
    saved=$times
    timeout -s KILL 300 vmm-run restore /tmp/saved/now "$@" </dev/null 2>"/out/$name.stderr" &
  else
    # shellcheck disable=SC2086 # one option, or none
    timeout -s KILL 300 vmm-run run $vmbus --kernel "/guest/$series.kernel" --initrd "/guest/$series.initrd" \
      --append "console=ttyS0 panic=-1 quiet rounds=$rounds ${vmbus#--}" --memory 256M --cpus "$cpus" --disk /tmp/disk.img \
      --serial "file:$console" --net user --nic virtio --rng on --display 1024x768 --usb tablet,keyboard --tpm "$tpm" "$@" </dev/null 2>"/out/$name.stderr" &
  fi
  job=$!
  touch "$console"
  while [ "$saved" -lt "$times" ]; do
    wait_for "$console" $((saved + 2))
    # What is saved is where the run ends: nothing happens between.
    vmm-run ctl /tmp/vm.sock pause 2>>"/out/$name.stderr" || break
    vmm-run ctl /tmp/vm.sock snapshot now >/dev/null 2>>"/out/$name.stderr" || break
    du -k /tmp/saved/now/memory-? | cut -f 1 >>"/out/$name.kilobytes"
    vmm-run ctl /tmp/vm.sock shutdown
    wait "$job" || echo "ended with $?" >>"/out/$name.stderr"
    saved=$((saved + 1))
    if [ -n "$LEAVE" ] && [ "$saved" -eq "$times" ]; then
      leave_guest
      continue 2
    fi
    timeout -s KILL 300 vmm-run restore /tmp/saved/now "$@" </dev/null 2>>"/out/$name.stderr" &
    job=$!
  done
  wait_for "$console" $((saved + 2))
  move_guest
  echo "$saved" >"/out/$name.saved"
  cat "$console" "$console.moved" >"/out/$name.console" 2>/dev/null
  rm -f "$console.moved"
  echo "$name: moved: $(tr -d ' \n' <"/out/$name.migrated")"
  echo "$name: saved $saved times, status $(cat "/out/$name.status") at $(cut -d ' ' -f 1 /proc/uptime) s"
done
