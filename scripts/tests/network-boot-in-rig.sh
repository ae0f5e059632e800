#!/bin/busybox sh
# shellcheck shell=dash
# Runs inside the rig: OVMF starts what a server on this host has, each time by a passt of its own. Of each boot, /out
# has SUITE-HOW-CARD.console, .stderr, .status, and .asked, the files that the server was asked for.

ip link set lo up
ip address add 10.0.2.2/32 dev lo
echo 'nobody:x:65534:65534::/:/bin/false' >>/etc/passwd
# shellcheck source=scripts/tests/passt-in-rig.sh
. /passt-in-rig.sh
httpd -f -vv -p 127.0.0.1:8000 -h /guest/www 2>/tmp/asked &
until netstat -ltn | grep -q ':8000 '; do sleep 0.1; done
for boot; do
  name=$(echo "$boot" | tr / -)
  suite=${boot%%/*} card=${boot##*/} how=${boot#*/}
  how=${how%/*}
  before=$(wc -l </tmp/asked)
  set --
  case $how in
    program | system) cp "/guest/$suite-$how.vars" /tmp/vars ;;
    *)
      cp "/firmware/$suite/OVMF_VARS_4M.fd" /tmp/vars
      set -- --disk /guest/ipxe.img
      ;;
  esac
  timeout -s KILL 300 vmm-run run --firmware "/firmware/$suite/OVMF_CODE_4M.fd" --vars /tmp/vars \
    --memory 1G --nic "$card" --net user --tracking-policy until-answered=0 "$@" \
    </dev/null >"/out/$name.console" 2>"/out/$name.stderr"
  echo $? >"/out/$name.status"
  rm /tmp/vars
  tail -n +$((before + 1)) /tmp/asked | sed -n 's/.*url:\/\{0,1\}\([^ ]*\).*/\1/p' | uniq >"/out/$name.asked"
  echo "$name: status $(cat "/out/$name.status") at $(cut -d ' ' -f 1 /proc/uptime) s"
done
