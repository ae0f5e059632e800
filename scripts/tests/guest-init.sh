# shellcheck shell=dash
# What /init of every test guest begins with. Sourced, never run; install_init (scripts/lib/initramfs.sh) puts it
# beside /init. What a guest has to tell goes to the console in lines that begin with @.

/bin/busybox --install -s /bin
export PATH=/bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys

tell() {
  echo "@ $*"
}

# await COMMAND...: waits for it, half a minute at most.
await() {
  tries=0
  while ! "$@" && [ $tries -lt 300 ]; do
    sleep 0.1
    tries=$((tries + 1))
  done
}

# insert LIST: the modules that /modules/LIST names.
insert() {
  while read -r module; do
    insmod "/modules/$module.ko" || tell "cannot insert $module"
  done <"/modules/$1"
}

# What the kernel has said at level warning or worse: linux-messages.sh knows whose fault each is.
tell_warnings() {
  dmesg -r | while read -r line; do
    level=${line#<}
    level=${level%%>*}
    if [ $((level & 7)) -le 4 ]; then
      tell "warning ${line#*] }"
    fi
  done
}
