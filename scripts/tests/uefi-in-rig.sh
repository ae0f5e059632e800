#!/bin/busybox sh
# shellcheck shell=dash
# Runs in the rig (scripts/rig): stock OVMF and what it starts, by vmm-run. What came of it is in /out;
# uefi.sh checks that.

firmware=/usr/share/OVMF/OVMF_CODE_4M.fd
template=/usr/share/OVMF/OVMF_VARS_4M.fd
# What machines start with.
image=$firmware

# start NAME OPTION...: a machine of that name, its console in NAME.console, what is typed from type_at.
start() {
  name=$1
  shift
  rm -f "/tmp/$name.keys"
  mkfifo "/tmp/$name.keys"
  cut -d ' ' -f 1 /proc/uptime >"/out/$name.times"
  vmm-run run --firmware "$image" "$@" --trace-hypercalls "/out/$name.trace" \
    <"/tmp/$name.keys" >"/out/$name.console" 2>"/out/$name.stderr" &
  pid=$!
  exec 7>"/tmp/$name.keys"
}

# await PATTERN SECONDS: until the console has a match, or the machine ends, or the time is over.
await() {
  tries=$(($2 * 5))
  while [ $tries -gt 0 ] && kill -0 "$pid" 2>/dev/null; do
    if grep -qE "$1" "/out/$name.console"; then
      cut -d ' ' -f 1 /proc/uptime >>"/out/$name.times"
      return 0
    fi
    tries=$((tries - 1))
    sleep 0.2
  done
  return 1
}

# keys TEXT: typed at the console; \r is the enter key. Firmware loses what comes too fast.
keys() {
  # shellcheck disable=SC2059 # the escapes are meant
  printf "$1" >&7
  sleep 1
}

# finish SECONDS: waits for the end, or kills; the status is in NAME.status.
finish() {
  tries=$(($1 * 5))
  while [ $tries -gt 0 ] && kill -0 "$pid" 2>/dev/null; do
    tries=$((tries - 1))
    sleep 0.2
  done
  kill -9 "$pid" 2>/dev/null
  wait "$pid"
  echo $? >"/out/$name.status"
  cut -d ' ' -f 1 /proc/uptime >>"/out/$name.times"
  exec 7>&-
}

# refuse NAME OPTION...: a run that cannot begin.
refuse() {
  refused=$1
  shift
  timeout -s KILL 120 vmm-run run "$@" </dev/null >"/out/$refused.console" 2>"/out/$refused.stderr"
  echo $? >"/out/$refused.status"
}

# OVMF of late starts the shell only from a menu, whose last entry it is: one up from its first.
reach_shell() {
  await 'startup\.nsh|Press any key' 300
  if grep -qF 'Press any key' "/out/$name.console"; then
    sleep 1
    keys '\r'
    await 'EFI Internal Shell' 300
    sleep 1
    keys '\033[A'
    keys '\r'
  fi
  if await 'startup\.nsh' 300; then keys '\033'; fi
  await 'Shell>' 300
}

# The shell, typed at. Its first start makes the variables. The image is what the package's descriptors name.
first_shell() {
  image=auto
  start shell --memory 1G --vars /tmp/vars.fd --trace-io --display 1280x800 \
    --screenshot /out/shell.png
  image=$firmware
  reach_shell
  vmm-run check >/out/check 2>&1
  refuse locked --firmware "$firmware" --vars /tmp/vars.fd
  keys 'reset -s\r'
  finish 600
}

# `exit` leads to the firmware's menu, whose last entry is Reset: one up from its first.
menu() {
  start menu --memory 6G --cpus 2 --vars /tmp/vars.fd --on-reset exit
  reach_shell
  keys 'exit\r'
  if await 'Select Entry' 300; then keys '\033[A' && keys '\r'; fi
  finish 600
}

# The shell script of this disk counts in a variable, and is killed while it does.
counter() {
  for name in counter counted; do
    start $name --memory 512M --vars /tmp/counter.fd --disk /uefi/counter.img
    await 'counted 22\.' 300
    kill -9 "$pid"
    finish 5
  done
}

refusals() {
  head -c 100000 "$firmware" >/tmp/odd.fd
  head -c 65536 /dev/zero >/tmp/empty.fd
  cp /tmp/empty.fd /tmp/no-vars.fd
  cp "$firmware" /tmp/only.fd
  head -c 131072 "$template" >/tmp/short.fd
  cp "$template" /tmp/known.fd
  cat "$template" "$firmware" >/tmp/whole.fd
  refuse unknown-layout --firmware /tmp/only.fd --vars /tmp/known.fd
  refuse whole-image --firmware /tmp/whole.fd --vars /tmp/known.fd --vars-template "$template"
  refuse same-file --firmware "$firmware" --vars "$firmware"
  refuse no-firmware --firmware /tmp/nothing.fd
  refuse odd-firmware --firmware /tmp/odd.fd
  refuse empty-firmware --firmware /tmp/empty.fd
  refuse no-variables --firmware "$firmware" --vars /tmp/no-vars.fd
  refuse short-variables --firmware "$firmware" --vars /tmp/short.fd
  refuse no-template --firmware /tmp/only.fd --vars /tmp/new.fd
  refuse long-name --firmware "$firmware" --fw-cfg "opt/a b=$firmware"
  refuse own-name --firmware "$firmware" --fw-cfg "etc/e820=/tmp/empty.fd"
}

# A new variables file on a file system without hard links. It is there before the disk is looked for.
fat() {
  for module in nls_cp437 nls_ascii fat vfat; do insmod "/uefi/modules/$module.ko"; done
  mkdir /fat
  cat /uefi/fat.img >/dev/rig/disk0
  mount -t vfat /dev/rig/disk0 /fat
  touch /fat/one && ln /fat/one /fat/two 2>/dev/null && echo 'hard links'
  rm /fat/one
  refuse on-fat --firmware "$firmware" --vars /fat/vars.fd --disk /nothing
  cmp "$template" /fat/vars.fd && ls /fat
} >/out/fat 2>&1

# Asks which memory is zero as an operating system's loader would, and reads it all. Huge pages, once
# nothing is tracked any more, let it read 4 GiB in seconds.
client() {
  ask_as_loader --disk /uefi/client.img
}

# The same from a CD, before an empty disk. The firmware draws, reads the CD and runs the USB controller's
# rings meanwhile, all of which is written to memory by the VMM.
client_from_cd() {
  truncate -s 64M /tmp/empty.img
  ask_as_loader --cdrom /uefi/client.iso --disk /tmp/empty.img --boot-order cdrom,disk0 \
    --vnc unix:/tmp/viewers --usb tablet,keyboard
}

# ask_as_loader OPTION...
ask_as_loader() {
  cp "$template" /tmp/kept.fd
  start client --memory 4G "$@" --vars /tmp/kept.fd --no-persist --thp \
    --tracking-policy until-answered=0
  finish 600
  cmp "$template" /tmp/kept.fd >/out/kept.cmp 2>&1
}

# GRUB and Linux from the second disk, twice. The second boot finds what the first left: also that
# this disk comes first is in the variables then.
grub() {
  cp /uefi/grub.img /tmp/grub.img
  echo 'from outside' >/tmp/word
  start grub-1 --memory 1G --tpm /tmp/tpm --disk /uefi/client.img --disk /tmp/grub.img --boot-order disk1 \
    --vars /tmp/grub.fd --uuid 01234567-89ab-cdef-0123-456789abcdef --fw-cfg opt/test/word=/tmp/word \
    --smbios 'product=A Product,serial=S 1,sku=K2,family=F3,asset=T-4,,5,oem=one,oem=two'
  finish 600
  start grub-2 --memory 1G --cpus 2 --tpm /tmp/tpm --disk /uefi/client.img --disk /tmp/grub.img \
    --vars /tmp/grub.fd
  finish 600
  /usr/bin/sparse-cp --sparse=always /tmp/grub.img /out/grub.img
}

# The same disk and TPM. The third boot resets the machine, the fourth is killed with vmm-run, which swtpm does not
# survive, and the fifth goes down by itself: the secret is there in all of them.
tpm() {
  start tpm-1 --memory 1G --tpm /tmp/tpm --disk /uefi/client.img --disk /tmp/grub.img \
    --boot-order disk1 --vars /tmp/grub.fd
  await '@ waiting' 600
  pidof swtpm | wc -w >/out/tpm-before
  refuse tpm-locked --firmware "$firmware" --tpm /tmp/tpm
  kill -9 "$pid"
  tries=300
  while pidof swtpm >/dev/null && [ $tries -gt 0 ]; do
    tries=$((tries - 1))
    sleep 0.2
  done
  pidof swtpm | wc -w >/out/tpm-after
  finish 5
  start tpm-2 --memory 1G --tpm /tmp/tpm --disk /uefi/client.img --disk /tmp/grub.img \
    --vars /tmp/grub.fd
  finish 600
}

sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1 >/out/model
for scenario in "$@"; do $scenario; done
