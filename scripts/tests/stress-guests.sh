#!/bin/sh
# Runs here and inside the rig: the stress guest in the sandbox, once with each program. Of each, OUT has
# NAME.console, NAME.stderr and NAME.status. What they must show is in stress.sh.
#
# usage: stress-guests.sh OUT GUEST ROUNDS LIVES NAME=PROGRAM...
out=$1 guest=$2 rounds=$3 lives=$4
shift 4

disk=$(mktemp) || exit 1
for program in "$@"; do
  name=${program%%=*}
  # All zeroes: the guest fills it in its first life.
  truncate -s 0 "$disk" && truncate -s 64M "$disk" || exit 1
  # The limit is for guests that hang.
  timeout -s KILL 800 "${program#*=}" run --kernel "$guest" --memory 128M --cpus 2 --disk "$disk" \
    --tracking-policy always --append "rounds=$rounds lives=$lives cpus=2" \
    </dev/null >"$out/$name.console" 2>"$out/$name.stderr"
  echo $? >"$out/$name.status"
done
rm -f "$disk"
