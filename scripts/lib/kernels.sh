# shellcheck shell=bash
# Debian's cloud kernels, from the archive to a directory. Needs packages.sh. Sourced, never run.

# newest_kernel_package SERIES: the current cloud kernel of that series, whatever its patch level.
newest_kernel_package() {
  apt-cache search --names-only "^linux-image-${1//./\\.}\\.[0-9].*-cloud-amd64\$" |
    cut -d ' ' -f 1 | sort -V | tail -n 1
}

download_package() {
  apt-get -qq -o APT::Sandbox::User=root download "$1" </dev/null
}

# fetch_kernel SERIES DIRECTORY MODULE...: fills DIRECTORY with vmlinuz, MODULE.ko... and the package's
# name, unless it is there. Its callers keep each other out.
fetch_kernel() {
  local series=$1 directory=$2 package work
  shift 2
  if [[ -e $directory/vmlinuz ]]; then
    return 0
  fi
  package=$(newest_kernel_package "$series")
  if [[ -z $package ]]; then
    update_package_lists || return 1
    package=$(newest_kernel_package "$series")
  fi
  if [[ -z $package ]]; then
    printf 'no package linux-image-%s.*-cloud-amd64 in the package lists\n' "$series" >&2
    return 1
  fi
  work=$(mktemp -d "$(dirname -- "$directory")/fetch.XXXXXX") || return 1
  if ! (cd "$work" && download_package "$package" 2>/dev/null); then
    # The list may name a version that the archive has replaced.
    update_package_lists || return 1
    package=$(newest_kernel_package "$series")
    (cd "$work" && quietly download_package "$package") || return 1
  fi
  dpkg-deb -x "$work"/*.deb "$work/tree" && mkdir "$work/kernel" || return 1
  printf '%s\n' "$package" >"$work/kernel/package"
  local module
  for module in "$@"; do
    # Compressed in 6.12, plain in 6.1.
    find "$work/tree" \( -name "$module.ko.xz" -exec xz -dc {} + \) -o \
      \( -name "$module.ko" -exec cat {} + \) >"$work/kernel/$module.ko"
    if [[ ! -s $work/kernel/$module.ko ]]; then
      printf '%s has no module %s\n' "$package" "$module" >&2
      return 1
    fi
  done
  cp "$work"/tree/boot/vmlinuz-* "$work/kernel/vmlinuz" || return 1
  rm -rf "$directory"
  mv "$work/kernel" "$directory" && rm -rf "$work"
}
