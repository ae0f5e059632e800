# shellcheck shell=bash
# shellcheck disable=SC2034 # archive is for archive.sh, firmware for the caller
# Debian's OVMF of several suites, from the archive to a directory. Needs packages.sh and archive.sh.
# Sourced, never run.

firmware_suites=(bookworm trixie sid)

# get_firmware SUITE: sets `firmware`, the directory in the rig's cache where the package is unpacked.
get_firmware() {
  local cache
  fill_rig_cache fetch_firmware "$1" || return 1
  firmware=$cache/firmware/$1
}

# firmware_version DIRECTORY: such as 2025.02-8.
firmware_version() {
  cat "$1/version"
}

# fetch_firmware CACHE SUITE: fills CACHE/firmware/SUITE with the package's files and its version, unless
# it is there. Whoever calls it holds the lock of the cache.
fetch_firmware() {
  local archive work package=ovmf
  if [[ -e $1/firmware/$2/version ]]; then
    return 0
  fi
  # The images of all that is no confidential guest have a package of their own now.
  if [[ $2 == sid ]]; then package=ovmf-generic; fi
  open_archive "$1/archive-firmware" "${firmware_suites[@]}" || return 1
  work=$(mktemp -d "$1/fetch.XXXXXX") || return 1
  if ! unpack_packages "$work" "$package/$2"; then
    rm -rf "$work"
    return 1
  fi
  zcat "$work/usr/share/doc/$package/changelog.Debian.gz" |
    sed -n '1s/.*(\(.*\)).*/\1/p' >"$work/version"
  mkdir -p "$1/firmware" && rm -rf "$1/firmware/$2" && mv "$work" "$1/firmware/$2"
}
