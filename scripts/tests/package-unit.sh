#!/bin/bash
# Inside the system where the package is installed, under systemd: machines as services. Called by package.sh, which
# reads /root/unit.results.
set -u
exec >/root/unit.log 2>&1 </dev/null
set -x

report() {
  local status=$1
  shift
  if [[ $status -eq 0 ]]; then echo "passed $*"; else echo "FAILED $*"; fi >>/root/unit.results
}

# until_true COMMAND...: for ten seconds at most.
until_true() {
  local attempts=100
  until "$@"; do
    ((attempts-- > 0)) || return 1
    sleep 0.1
  done
}

# socket_of MACHINE
socket_of() {
  printf '/run/vmm-run/%s/control.sock' "$1"
}

is_running() {
  vmm-run ctl "$(socket_of "$1")" info | grep -q '"state": "Running"'
}

# has_state MACHINE NAME=VALUE...: what systemd says of the unit.
has_state() {
  local unit=vmm-run@$1 wanted
  shift
  for wanted in "$@"; do
    [[ $(systemctl show -p "${wanted%%=*}" "$unit") == "$wanted" ]] || return 1
  done
}

# programs MACHINE: names of the programs that run for it, one a line.
programs() {
  local process place=/sys/fs/cgroup
  # Where the host still has the first kind of cgroups.
  if [[ -d $place/systemd ]]; then place+=/systemd; fi
  while read -r process; do
    cat "/proc/$process/comm"
  done <"$place$(systemctl show --value -p ControlGroup "vmm-run@$1")/cgroup.procs"
}

# has_programs MACHINE PROGRAM...
has_programs() {
  local found program
  found=$(programs "$1")
  shift
  for program in "$@"; do
    grep -q "^$program" <<<"$found" || return 1
  done
}

# numbers BYTES VALUE...: little-endian.
numbers() {
  local bytes=$1 value index
  shift
  for value; do
    for ((index = 0; index < bytes; index++)); do
      # shellcheck disable=SC2059 # the format is the byte
      printf "\\x$(printf '%02x' $((value >> 8 * index & 255)))"
    done
  done
}

# make_listener: a guest for --kernel that listens to its power button and takes a moment to switch itself off.
make_listener() {
  local code
  # PM1_EN (0x602) = PWRBTN_EN; until PM1_STS (0x600) has PWRBTN_STS; a third of a second by the ACPI timer (0x608);
  # PM1_CNT (0x604) = S5; a jump to itself
  code='\x66\xba\x02\x06\x66\xb8\x00\x01\x66\xef'
  code+='\x66\xba\x00\x06\x66\xed\xf6\xc4\x01\x74\xf5'
  code+='\x66\xba\x08\x06\xed\x89\xc3\xed\x29\xd8\x25\xff\xff\xff\x00\x3d\x00\x00\x10\x00\x72\xf1'
  code+='\x66\xba\x04\x06\x66\xb8\x00\x20\x66\xef\xeb\xfe'
  {
    # An ELF file of 64 bits: two program headers, PT_LOAD and PT_NOTE, which has the PVH entry (XEN_ELFNOTE_PHYS32_ENTRY).
    printf '\x7fELF\x02\x01\x01' && numbers 1 0 0 0 0 0 0 0 0 0
    numbers 2 2 62 && numbers 4 1 && numbers 8 0x100000 64 0 && numbers 4 0 && numbers 2 64 56 2 0 0 0
    numbers 4 1 7 && numbers 8 0x1000 0x100000 0x100000 64 64 1
    numbers 4 4 4 && numbers 8 0x100 0 0 20 20 1
    head -c $((0x100 - 64 - 2 * 56)) /dev/zero
    numbers 4 4 4 18 && printf 'Xen\0' && numbers 4 0x100000
    head -c $((0x1000 - 0x100 - 20)) /dev/zero
    # shellcheck disable=SC2059 # the format is the code
    printf "$code"
    head -c 64 /dev/zero
  } >/usr/share/listener.elf
}

rm -f /root/unit.results
# pause; jmp to it: a guest that goes on.
printf '\xf3\x90\xeb\xfc' >/usr/share/guest.bin
vmm-run run --program /usr/share/guest.bin --memory 16M --print-config >/etc/vmm-run/flat.json
make_listener
vmm-run run --kernel /usr/share/listener.elf --memory 64M --serial none --tpm tpm \
  --net user,hostfwd=tcp:127.0.0.77:33890-:3389 --print-config >/etc/vmm-run/listener.json

systemctl start vmm-run@flat
report $? 'the unit starts a machine'
until_true is_running flat
report $? 'its control socket answers'
user=$(stat -c %u /run/vmm-run/flat)
[[ $user -ge 61184 && $user -le 65519 && $(stat -c '%a %u' "$(socket_of flat)") == "600 $user" ]]
report $? 'it has a user of its own, and its socket belongs to that'
grep -q '^Seccomp:[[:space:]]2$' "/proc/$(systemctl show --value -p MainPID vmm-run@flat)/status"
report $? 'it is confined'
systemctl stop vmm-run@flat
has_state flat Result=success ActiveState=inactive && [[ ! -e /run/vmm-run/flat ]]
report $? 'a guest without a power button is stopped by SIGTERM, in order'

systemctl start vmm-run@listener
until_true is_running listener && has_programs listener vmm-run passt swtpm
report $? 'passt and swtpm run beside a machine, as the unit confines them'
# 127.0.0.77:33890, in the state LISTEN.
until_true grep -q ' 4D00007F:8462 00000000:0000 0A ' /proc/net/tcp
report $? 'passt leads a port to the guest'
[[ -d /var/lib/vmm-run/listener/tpm ]]
report $? 'its files are in a directory of its own'
systemctl stop vmm-run@listener
journalctl --no-pager --output cat --unit vmm-run@listener >/root/listener.journal
cat /root/listener.journal
has_state listener Result=success ActiveState=inactive ExecMainStatus=0 && grep '"event":"shutdown"' /root/listener.journal
report $? 'a stop presses the power button, and the guest ends by itself'

systemctl start vmm-run@nothing
report $? 'a machine without a file is no failure'
systemctl --quiet is-active vmm-run@nothing && report 1 'a machine without a file does not run'
echo '{' >/etc/vmm-run/flat.json
systemctl start vmm-run@flat
until_true has_state flat ActiveState=failed ExecMainStatus=2
report $? 'a file that is no machine is a failure with status 2'
rm /etc/vmm-run/*.json
journalctl --no-pager --unit 'vmm-run@*'
systemctl poweroff --force --no-block
