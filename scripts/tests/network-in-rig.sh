#!/bin/busybox sh
# shellcheck shell=dash
# Runs inside the rig, which has no network but its own: Linux guests with network cards, by the passt of /usr/bin or
# by a tap device. Of each series, /out has net-SERIES.console, .stderr, .status and .sums: what was sent, and what
# came back.

# The gateway that passt makes up is this host; pings go to its address.
ip link set lo up
ip address add 10.0.2.2/32 dev lo
# As root it becomes this user.
echo 'nobody:x:65534:65534::/:/bin/false' >>/etc/passwd
# Who may ping: passt has no privileges.
echo '0 2147483647' >/proc/sys/net/ipv4/ping_group_range

# shellcheck source=scripts/tests/passt-in-rig.sh
. /passt-in-rig.sh

# Input that does not end.
mkfifo /tmp/silence

# make_tap QUEUES: a tap device for one queue or for several, in place of the last one, and who gives addresses there, as
# passt does. The gateway is on it from here on.
make_tap() {
  if [ -e /sys/class/net/tap0 ]; then
    kill "$(pidof udhcpd)"
    tunctl -d tap0 >/dev/null
  else
    insmod /guest/tun.ko
    mkdir -p /dev/net
    [ -e /dev/net/tun ] || mknod /dev/net/tun c 10 200
    ip address del 10.0.2.2/32 dev lo
  fi
  case $1 in
    one) tunctl -t tap0 >/dev/null ;;
    *) /iproute-ip tuntap add tap0 mode tap multi_queue ;;
  esac
  ip address add 10.0.2.2/24 dev tap0
  ip link set tap0 up
  printf '%s\n' 'interface tap0' 'start 10.0.2.15' 'end 10.0.2.15' 'lease_file /tmp/leases' \
    'option subnet 255.255.255.0' 'option router 10.0.2.2' 'option mtu 1500' >/tmp/udhcpd.conf
  : >/tmp/leases
  udhcpd -f /tmp/udhcpd.conf 2>/dev/null &
}

# switches PROCESS: how often each of its threads has slept, but for the vCPUs, which have run a guest.
switches() {
  for thread in /proc/"$1"/task/*; do
    [ "$(cut -d ' ' -f 43 "$thread/stat")" -gt 0 ] ||
      echo "${thread##*/} $(sed -n 's/^voluntary_ctxt_switches:[[:space:]]*//p' "$thread/status")"
  done
}

# told TEXT: waits until the guest has told that, or has ended.
told() {
  while kill -0 "$job" 2>/dev/null && ! grep -aq "^@ $1" "/out/$name.console"; do sleep 0.3; done
}

for guest; do
  name=net-$guest
  # SERIES[-virtio|-tap][-2]: with two vCPUs, and a queue for each where that can be.
  card=e1000e far=user,hostfwd=tcp:127.0.0.1:2222-:22 door='127.0.0.1 2222' cpus=1 words=''
  case $guest in
    *-virtio*) card=virtio ;;
    *-tap*)
      card=virtio far=tap=tap0 door='10.0.2.15 22'
      case $guest in *-2) make_tap several ;; *) make_tap one ;; esac
      ;;
  esac
  case $guest in *-2) cpus=2 ;; esac
  # What else happens: passt stands still for a while, and ends before the guest; or nothing at all for a while.
  case $guest in
    *-tap*) ;;
    *-virtio* | *-2) words=mortal ;;
    *) words=resting ;;
  esac
  set --
  if [ "$words" = resting ]; then set -- --display 1280x800 --vnc :0 --usb tablet,keyboard; fi
  nc -l -p 8001 </guest/data >/dev/null &
  server=$!
  # Empty before anybody looks how much has come: not missing, nor the last guest's.
  : >/tmp/back
  nc -l -p 8002 <>/tmp/silence >>/tmp/back &
  receiver=$!
  timeout -s KILL "$NETWORK_LIMIT" vmm-run run --kernel "/guest/$guest.kernel" --initrd "/guest/$guest.initrd" \
    --append "console=ttyS0 panic=-1 quiet $words" --memory 512M --cpus $cpus --nic $card \
    --net "$far,mac=52:54:00:ab:cd:ef" "$@" \
    </dev/null >"/out/$name.console" 2>"/out/$name.stderr" &
  job=$!
  if [ "$words" = resting ]; then
    told idle
    sleep 1
    switches "$(pidof vmm-run)" >"/out/$name.before"
    sleep 10
    switches "$(pidof vmm-run)" >"/out/$name.after"
  fi
  # Whoever has everything ends the connection: passt of 2023 does not hand on that one half is closed.
  late=0
  # What a guest has sent is not all here yet; a minute later it is, or is lost.
  while kill -0 "$job" 2>/dev/null && [ "$(stat -c %s /tmp/back)" -lt "$(stat -c %s /guest/data)" ] && [ $late -lt 200 ]; do
    if grep -aq '^@ sent' "/out/$name.console"; then late=$((late + 1)); fi
    sleep 0.3
  done
  kill "$receiver"
  # Through the forwarded port, once the guest listens. Its input stays open, as a person's would.
  told listening
  # It says so before it does: who comes too early is turned away, and comes again.
  tries=0 asker=''
  while [ ! -s "/out/$name.answer" ] && [ $tries -lt 100 ]; do
    if [ -z "$asker" ] || ! kill -0 "$asker" 2>/dev/null; then
      # shellcheck disable=SC2086 # an address and a port
      { echo 'from the host'; sleep 60; } | nc $door >>"/out/$name.answer" &
      asker=$!
    fi
    tries=$((tries + 1))
    sleep 0.3
  done
  kill "$asker" 2>/dev/null
  if [ "$words" = mortal ]; then
    told 'stop it'
    kill -STOP "$(pidof "$passt")"
    told 'no answer'
    kill -CONT "$(pidof "$passt")"
    told mortal
    kill -KILL "$(pidof "$passt")"
  fi
  wait "$job"
  echo $? >"/out/$name.status"
  # A guest that sent nothing leaves it.
  kill "$server" 2>/dev/null
  for file in /guest/data /tmp/back; do sha256sum <$file; done >"/out/$name.sums"
  echo "programs that are left: $(pidof "$passt")" >>"/out/$name.sums"
  echo "$name: status $(cat "/out/$name.status") at $(cut -d ' ' -f 1 /proc/uptime) s"
done
