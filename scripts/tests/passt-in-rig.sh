# shellcheck shell=dash
# Sourced inside the rig: a passt that came with its own libraries, which this host does not have, becomes a program.
loader=$(find /passt -name ld-linux-x86-64.so.2 -path '*/x86_64-linux-gnu/*' 2>/dev/null | head -n 1)
passt=passt
if [ -n "$loader" ]; then
  printf '%s\n' '#!/bin/sh' \
    "exec $loader --library-path ${loader%/*}:/passt/lib/x86_64-linux-gnu /passt/usr/bin/passt \"\$@\"" >/usr/local/bin/passt
  chmod 755 /usr/local/bin/passt
  # As what the kernel knows it.
  # shellcheck disable=SC2034 # for who sources this
  passt=${loader##*/}
fi
