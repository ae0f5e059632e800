# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034 # guests is for guests.sh; here, logs, failed: set by scripts/test, report.sh
# Part of scripts/test's examples: desk-machine with a Linux guest, in the rig. Sourced, never run; needs network.sh.

# check_desk_machine PROGRAM
check_desk_machine() {
  local rig_status=0 guests='example desk-machine' directory=$logs/desk out=$logs/desk/out kernel tree=$logs/desk/tree
  rm -rf "$directory"
  get_kernel 6.12-full e1000e "${network_others_before[@]}" || return 1
  mkdir -p "$tree"/{bin,dev,proc,sys}
  cp /bin/busybox "$tree/bin/"
  add_modules "$tree" "$kernel" cards e1000e || return 1
  add_modules "$tree" "$kernel" others "${network_others_before[@]}" || return 1
  install_init "$tree" "$here/tests/desk-init.sh"
  pack_initramfs "$tree" | gzip -1 >"$directory/initrd" || return 1
  logged desk "$here/rig" --timeout 300 --cpus 1 --out "$out" --file "$1:/desk-machine" \
    --file "$directory/initrd:/guest/initrd" --file "$kernel/vmlinuz:/guest/kernel" -- \
    /bin/sh -c '/desk-machine /guest/kernel /guest/initrd /out/picture.bmp >/out/told 2>&1; echo $? >/out/desk.status' || rig_status=$?
  check_equal "$guests: the rig's exit status" "$rig_status" 0
  check_status desk 0
  tr -d '\r' <"$out/told" | grep -a '^@ ' >"$out/desk.told"
  check_seen desk 'ping 3'
  check_equal "$guests: its end" "$(tail -n 1 "$out/told" | grep -cE '^poweredOff, 1 pictures, [4-9] frames answered$')" 1
  check_messages desk
  # Behind 54 bytes of the bitmap what the guest wrote.
  if yes ABC | head -c 3145728 | cmp - <(tail -c +55 "$out/picture.bmp"); then
    pass_check "$guests: the picture, each pixel"
  else
    fail_check "$guests: the picture"
  fi
}
