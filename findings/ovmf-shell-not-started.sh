#!/usr/bin/env bash
# OVMF of 2026 no longer ends in the UEFI shell when there is nothing to boot.
#
# What one would think: an OVMF image with the shell built in, without a disk, starts the shell, as it has for
# fifteen years. Scripts and tests rely on it: they wait for "Shell>" or have a startup.nsh run.
# What was seen: 2022.11 and 2025.02 do that. 2026.08 still has the shell, but only as an inactive boot
# option: it prints "No bootable option or device was found" and waits for a key, which leads to a menu whose
# last entry, "EFI Internal Shell", starts it. So a startup.nsh is not run, either.
#
# Versions: ovmf 2022.11-6+deb12u2 (bookworm), 2025.02-8+deb13u1 (trixie) and ovmf-generic 2026.08+ds-2 (sid), in
# QEMU 1:10.0.2+ds-2+deb13u1~bpo12+1 (bookworm-backports), TCG. Seen on 28 November 2026.
#
# Needs Debian 12 or later and some minutes. Status 0: as described. 1: something is different. 2: could not
# be tried, for example because the archive has other versions by now.
set -euo pipefail

qemu_version='1:10.0.2+ds-2+deb13u1~bpo12+1'

work=$(mktemp -d)
qemu=''
trap '[[ -z $qemu ]] || kill "$qemu" 2>/dev/null; rm -rf "$work"' EXIT
cd "$work"

# --- packages, unpacked and not installed --------------------------------------------------------

keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# use SUITE...: sets `apt`.
use() {
  rm -rf lists cache
  mkdir -p lists/partial cache/archives/partial
  : >status
  printf "deb [arch=amd64 signed-by=$keyring] http://deb.debian.org/debian %s main\n" "$@" >sources.list
  apt=(-qq -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=/dev/null
    -o Dir::Etc::preferencesparts=/dev/null -o Dir::State::lists="$work/lists"
    -o Dir::State::status="$work/status" -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root
    -o APT::Install-Recommends=false -o Debug::NoLocking=true)
  apt-get "${apt[@]}" update >log 2>&1 || { cat log && exit 2; }
}

# firmware SUITE PACKAGE VERSION
firmware() {
  use "$1"
  (cd cache/archives && apt-get "${apt[@]}" download "$2=$3") >log 2>&1 || { cat log && exit 2; }
  dpkg-deb -x cache/archives/"$2"_*.deb "$1"
}

firmware bookworm ovmf 2022.11-6+deb12u2
firmware trixie ovmf 2025.02-8+deb13u1
firmware sid ovmf-generic 2026.08+ds-2
use bookworm bookworm-backports
apt-get "${apt[@]}" -y --download-only install -t bookworm-backports \
  "qemu-system-x86=$qemu_version" >log 2>&1 || { cat log && exit 2; }
for package in cache/archives/*.deb; do
  dpkg-deb -x "$package" tree
done
libraries=$work/tree/lib/x86_64-linux-gnu:$work/tree/usr/lib/x86_64-linux-gnu
command=("$work/tree/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2" --library-path "$libraries"
  "$work/tree/usr/bin/qemu-system-x86_64" -L "$work/tree/usr/share/qemu"
  -L "$work/tree/usr/share/seabios")

# --- each of them without anything to boot -------------------------------------------------------

# await PATTERN: until the console has it; for two minutes and a half.
await() {
  local tries=300
  while [[ $tries -gt 0 ]]; do
    if grep -qaE "$1" console; then
      return 0
    fi
    tries=$((tries - 1))
    sleep 0.5
  done
  return 1
}

# start SUITE: sets `qemu`; keys go to descriptor 7.
start() {
  cp "$1/usr/share/OVMF/OVMF_VARS_4M.fd" vars.fd
  rm -f keys && mkfifo keys
  : >console
  "${command[@]}" -machine q35 -accel tcg -m 512 -nodefaults -display none -serial stdio \
    -drive "if=pflash,format=raw,readonly=on,file=$1/usr/share/OVMF/OVMF_CODE_4M.fd" \
    -drive if=pflash,format=raw,file=vars.fd <keys >console 2>log &
  qemu=$!
  exec 7>keys
}

stop() {
  kill "$qemu" 2>/dev/null || true
  wait "$qemu" 2>/dev/null || true
  qemu=''
  exec 7>&-
}

status=0
# expect SUITE WHAT IS SHOULD
expect() {
  printf '%s: %s: %s\n' "$1" "$2" "$3"
  [[ $3 == "$4" ]] || status=1
}

for suite in bookworm trixie sid; do
  start "$suite"
  end=neither
  if await 'startup\.nsh|No bootable option'; then
    if grep -qa 'startup\.nsh' console; then end=shell; else end='no bootable option'; fi
  fi
  case $suite in
    sid)
      expect "$suite" 'without a disk' "$end" 'no bootable option'
      sleep 2
      printf '\r' >&7
      menu=no
      if await 'EFI Internal Shell'; then
        sleep 2
        printf '\033[A' >&7
        sleep 2
        printf '\r' >&7
        if await 'startup\.nsh'; then menu=yes; fi
      fi
      expect "$suite" "the menu's last entry is the shell" "$menu" yes
      ;;
    *) expect "$suite" 'without a disk' "$end" shell ;;
  esac
  stop
done
exit "$status"
