#!/bin/busybox sh
# shellcheck shell=dash
# Runs inside the rig for bench-network.sh: `network.sh REPETITIONS MIB-OF-MEMORY CARDS`. A guest of QEMU and one of vmm-run in
# turn, each with a passt of its own; what the far end measured is in /out/network.tsv.

ip link set lo up
ip address add 10.0.2.2/32 dev lo
echo 'nobody:x:65534:65534::/:/bin/false' >>/etc/passwd
echo '0 2147483647' >/proc/sys/net/ipv4/ping_group_range

qemu() {
  device=e1000e
  if [ "$1" = virtio ]; then device=virtio-net-pci; fi
  # shellcheck disable=SC2086 # words of a command
  exec $PEER -machine q35,hpet=off -smp 1 -m "$2" -serial stdio -kernel "/bench/$1.kernel" -initrd "/bench/$1.gz" -append "$append" \
    -netdev stream,id=net,server=off,addr.type=unix,addr.path=/tmp/passt.socket -device "$device,netdev=net,romfile="
}

own() {
  exec /bench/vmm-run run --kernel "/bench/$1.kernel" --initrd "/bench/$1.gz" --append "$append" --memory "${2}M" \
    --nic "$1" --net passt=/tmp/passt.socket
}

append='console=ttyS0 quiet panic=-1'
round=0
while [ $round -lt "$1" ]; do
  for card in $3; do
    for monitor in qemu own; do
      name=vmm-run
      if [ $monitor = qemu ]; then name=QEMU; fi
      rm -f /tmp/passt.socket
      passt -f -q -1 -m 1500 -4 -i lo -M 52:55:0a:00:02:02 -a 10.0.2.15 -n 24 -g 10.0.2.2 -s /tmp/passt.socket \
        >>/out/passt.log 2>&1 &
      until [ -S /tmp/passt.socket ]; do sleep 0.1; done
      /bench/network serve 8000 /tmp/monitor "$name $card" >>/out/network.tsv 2>>/out/network.log &
      server=$!
      $monitor "$card" "$2" </dev/null >>"/out/$name.network.log" 2>&1 &
      job=$!
      echo $job >/tmp/monitor
      # QEMU in the rig sometimes gets nowhere.
      tries=0
      while kill -0 $job 2>/dev/null && [ $tries -lt 900 ]; do
        tries=$((tries + 1))
        sleep 0.5
      done
      kill -KILL $job $server 2>/dev/null
      wait $job $server
    done
  done
  round=$((round + 1))
done
