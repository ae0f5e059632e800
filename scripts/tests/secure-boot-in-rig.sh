#!/bin/busybox sh
# shellcheck shell=dash
# Runs in the rig (scripts/rig): firmware with Secure Boot, one for each directory in /firmware, starts a disk with signed
# programs, and one whose program nobody signed. Of each machine, /out has NAME.console, .stderr and .status; what they
# must show is in secure-boot.sh.

# boot NAME DISK OPTION...
boot() {
  name=$1 disk=$2 template=$3
  shift 3
  cp "/guest/$disk" /tmp/disk.img
  vmm-run run --firmware "/firmware/$suite/OVMF_CODE_4M.secboot.fd" \
    --vars-template "/firmware/$suite/$template" --vars "/tmp/$name.vars" --secure-boot \
    --memory 512M --disk /tmp/disk.img --verify-zeroed "$@" </dev/null >"/out/$name.console" 2>"/out/$name.stderr" &
  pid=$!
  # It may wait for a key for good.
  tries=0
  while kill -0 $pid 2>/dev/null && [ $tries -lt 600 ]; do
    tries=$((tries + 1))
    if grep -aq 'Press any key' "/out/$name.console"; then
      kill -INT $pid
      break
    fi
    sleep 0.5
  done
  if [ $tries -eq 600 ]; then kill -KILL $pid; fi
  wait $pid
  echo $? >"/out/$name.status"
  echo "$name: status $(cat "/out/$name.status") at $(cut -d ' ' -f 1 /proc/uptime) s"
}

for directory in /firmware/*; do
  suite=${directory##*/}
  # With two the rig's one CPU goes from one to the other at every interrupt: minutes.
  case " $LINUX_SUITES " in
    *" $suite "*) boot "$suite-signed" signed.img OVMF_VARS_4M.ms.fd --cpus "$CPUS" ;;
  esac
  boot "$suite-unsigned" unsigned.img OVMF_VARS_4M.ms.fd
  boot "$suite-client" client.img OVMF_VARS_4M.fd
done
