# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034 # guests is for guests.sh; here, logs, failed, vmm_run: set by scripts/test, report.sh, demo.sh
# Step of scripts/test: the network of Linux guests, by passt and by a tap device, in the rig. Sourced, never run.
#
# What runs is in network-in-rig.sh, what the guest does in network-init.sh, what must come of it here.

# Kernels with all drivers, and cloud kernels, which have none but those for virtio: one by passt, one by a tap device.
# SERIES[-virtio|-tap][-2], the last with two vCPUs and a tap device for several queues.
read -ra network_guests <<<"${NETWORK_GUESTS:-7.3 6.12-virtio 6.12-tap 6.12-tap-2}"
network_data=${NETWORK_DATA:-4M}
network_modules=(failover net_failover virtio_net)
# Part of later kernels.
network_modules_before=(virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci)
# What a guest has beside its card that is idle.
network_others=(
  usb-common usbcore xhci-hcd xhci-pci hid hid-generic usbhid drm drm_kms_helper drm_client_lib drm_shmem_helper bochs)
network_others_before=(
  usb-common usbcore xhci-hcd xhci-pci hid hid-generic usbhid drm drm_kms_helper ttm drm_ttm_helper drm_vram_helper bochs)

# make_network_guest DIRECTORY GUEST: kernel and initramfs.
make_network_guest() {
  local directory=$1 kernel tree=$1/$2.tree series=${2%%-*}
  local -a modules=(e1000e) others=()
  case $2 in
    6.1-virtio* | 6.1-tap*) modules=("${network_modules_before[@]}" "${network_modules[@]}") ;;
    *-virtio* | *-tap*) modules=("${network_modules[@]}") ;;
    *)
      others=("${network_others_before[@]}")
      if [[ $series == 7.* ]]; then others=("${network_others[@]}"); fi
      series+=-full
      ;;
  esac
  get_kernel "$series" "${modules[@]}" "${others[@]}" || return 1
  mkdir -p "$tree"/{bin,dev,proc,sys}
  cp /bin/busybox "$tree/bin/"
  add_modules "$tree" "$kernel" cards "${modules[@]}" || return 1
  if [[ ${#others[@]} -gt 0 ]]; then add_modules "$tree" "$kernel" others "${others[@]}" || return 1; fi
  install_init "$tree" "$here/tests/network-init.sh"
  pack_initramfs "$tree" | gzip -1 >"$directory/$2.initrd" || return 1
  cp "$kernel/vmlinuz" "$directory/$2.kernel"
  rm -r "$tree"
}

# get_passt: adds to `files` Debian 12's passt, or with NETWORK_PASST=trixie Debian 13's with its libraries, which
# passt-in-rig.sh makes a program of; unpacked and not installed, in the rig's cache. That of Debian 12 answers DHCP to an
# address that firmware has not got yet (findings/passt-broadcast.sh).
get_passt() {
  local cache
  if [[ ${NETWORK_PASST-} == trixie ]]; then
    fill_rig_cache fetch_tree passt-trixie trixie unpack_with_libraries trixie passt || return 1
    files+=(--file "$cache/passt-trixie:/passt")
  else
    fill_rig_cache fetch_tree passt bookworm unpack_packages passt || return 1
    files+=(--file "$cache/passt/usr/bin/passt:/usr/bin/passt")
  fi
  files+=(--file "$here/tests/passt-in-rig.sh:/passt-in-rig.sh")
}

check_network_guest() {
  local guest=net-$1 sum series=${1%%-*} driver=e1000e speed=1000 cpus=1 queues=1 slept
  if [[ $1 == *-virtio* || $1 == *-tap* ]]; then driver=virtio_net speed=-1; fi
  if [[ $1 == *-2 ]]; then cpus=2; fi
  if [[ $1 == *-tap-2 ]]; then queues=2; fi
  check_status "$guest" 0
  sum=$(sha256sum <"$2")
  for line in "kernel ${series//./\\.}\\..*" "processors $cpus" "eth0 driver $driver" 'eth0 address 52:54:00:ab:cd:ef' \
    "eth0 queues $queues" \
    "eth0 carrier 1, $speed Mb/s" 'lease 10.0.2.15/24 from 10.0.2.2 by 10.0.2.2, 1500 bytes' \
    'ping 3 packets transmitted, 3 packets received' "received $sum" sent 'asked from the host' \
    'eth0 interrupts by message' 'eth0 errors 0 0' poweroff; do
    check_seen "$guest" "$line"
  done
  check_equal "$guest: what was sent, what came back, and who is left" \
    "$(cat "$out/$guest.sums")" "$(printf '%s\n%s\nprograms that are left: ' "$sum" "$sum")"
  check_equal "$guest: through the forwarded port" "$(cat "$out/$guest.answer")" 'from the guest'
  check_messages "$guest"
  if grep -q '^@ idle' "$out/$guest.told"; then
    # By thread; one that was not there before counts from nought.
    slept=$(awk 'NR == FNR { before[$1] = $2; next } { sum += $2 - before[$1] } END { print sum + 0 }' \
      "$out/$guest.before" "$out/$guest.after")
    check_seen "$guest" 'usb 2'
    check_seen "$guest" 'frame buffer bochs-drmdrmfb'
    if [[ $(wc -l <"$out/$guest.after") -ge 5 && $slept -lt 50 ]]; then
      pass_check "$guests, $guest: idle with network, display and USB, $slept wake-ups of ours in 10 s"
    else
      fail_check "$guests, $guest: idle, $slept wake-ups of ours in 10 s: $(
        paste -d ' ' "$out/$guest.before" "$out/$guest.after" | tr '\n' ';')"
    fi
  fi
  if grep -q '^@ mortal' "$out/$guest.told"; then
    for line in 'no answer' 'an answer' 'eth0 carrier 0 in the end'; do check_seen "$guest" "$line"; done
    check_seen "$guest" 'eth0 reaches nobody'
    check_equal "$guest: that passt has ended" \
      "$(grep -c 'network card 0: its far end has gone, and the link is down' "$out/$guest.stderr")" 1
  fi
}

run_network_in_rig() {
  local rig_status=0 guests='Linux with a network' out=$logs/network/out before=$failed guest kernel limit
  local directory=$logs/network
  local -a files=()
  rm -rf "$directory"
  mkdir -p "$directory/guest"
  get_passt || return 1
  head -c "$network_data" /dev/urandom >"$directory/guest/data"
  for guest in "${network_guests[@]}"; do
    make_network_guest "$directory/guest" "$guest" || return 1
  done
  # Of the rig's own kernel.
  get_kernel 6.12 tun || return 1
  cp "$kernel/tun.ko" "$directory/guest/"
  # Busybox makes no tap device for several queues.
  if [[ " ${network_guests[*]} " == *-tap-2\ * ]]; then
    files+=(--file "$(PATH=$PATH:/usr/sbin:/sbin command -v ip):/iproute-ip")
  fi
  # For each guest.
  limit=$((300 + $(stat -c %s "$directory/guest/data") / 20000))
  logged network "$here/rig" --timeout $((300 + limit * ${#network_guests[@]})) --cpus 1 --out "$out" \
    --env "NETWORK_LIMIT=$limit" \
    --file "$vmm_run:/usr/bin/vmm-run" "${files[@]}" \
    --file "$directory/guest:/guest" --script "$here/tests/network-in-rig.sh" -- \
    "${network_guests[@]}" || rig_status=$?
  if [[ $rig_status -ne 0 ]]; then
    fail_check "$guests: the rig's exit status $rig_status"
  fi
  for guest in "${network_guests[@]}"; do
    tr -d '\r' <"$out/net-$guest.console" | grep -a '^@ ' >"$out/net-$guest.told"
    check_network_guest "$guest" "$directory/guest/data"
  done
  if [[ $failed -eq $before ]]; then
    rm -rf "$directory/guest"
  else
    cat "$logs/network.log"
  fi
}
