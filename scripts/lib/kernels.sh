# shellcheck shell=bash
# shellcheck disable=SC2034 # archive is for archive.sh, kernel and headers for the caller
# Debian's kernels, from the archive to a directory: cloud kernels by their series (6.12), those with all
# drivers as SERIES-full (6.12-full). Needs packages.sh and archive.sh. Sourced,
# never run.

# Where series are looked for; the newest patch level of all of them is taken.
kernel_suites=(bookworm bookworm-security trixie trixie-security trixie-backports)

# kernel_versions SERIES: the versions of that series that have a package, the newest last.
kernel_versions() {
  local series=${1%-full} flavour=-cloud-amd64
  if [[ $1 == *-full ]]; then flavour=-amd64; fi
  # Debian 12 has its own number behind the version: 6.1.0-40-amd64.
  search_archive "^linux-(image|binary)-${series//./\\.}\\.[0-9][^-]*(-[0-9]+)?$flavour\$" |
    sed 's/^linux-[a-z]*-//' | sort -uV
}

# get_kernel SERIES MODULE...: sets `kernel`, the directory in the rig's cache where the kernel is.
get_kernel() {
  local cache
  fill_rig_cache fetch_kernel "$@" || return 1
  kernel=$cache/kernels/$1
}

# fetch_kernel CACHE SERIES MODULE...: fills CACHE/kernels/SERIES with vmlinuz, MODULE.ko... and the version,
# as far as they are not there. Whoever calls it holds the lock of the cache.
fetch_kernel() {
  local cache=$1 series=$2 directory=$1/kernels/$2 module
  shift 2
  if [[ ! -e $directory/vmlinuz ]]; then
    download_kernel "$cache" "$series" || return 1
  fi
  fetch_modules_if_any "$directory" "$@"
  for module in "$@"; do
    if [[ ! -e $directory/$module.ko ]]; then
      printf 'Linux %s has no module %s\n' "$(cat "$directory/version")" "$module" >&2
      return 1
    fi
  done
}

# fetch_modules_if_any DIRECTORY MODULE...: those that the kernel in this directory has as modules.
fetch_modules_if_any() {
  local directory=$1 module file
  shift
  for module in "$@"; do
    if [[ -e $directory/$module.ko ]]; then
      continue
    fi
    file=$(find "$directory/tree" -name "$module.ko" -o -name "$module.ko.xz")
    case $file in
      *.xz) xz -dc "$file" >"$directory/$module.ko" ;; # since 6.12
      *.ko) cp "$file" "$directory/$module.ko" ;;
    esac
  done
}

# download_kernel CACHE SERIES: the kernel's packages, unpacked.
download_kernel() {
  local archive version work
  local -a packages
  open_archive "$1/archive-kernels" "${kernel_suites[@]}" || return 1
  version=$(kernel_versions "$2" | tail -n 1)
  if [[ -z $version ]]; then
    update_archive || return 1
    version=$(kernel_versions "$2" | tail -n 1)
  fi
  if [[ -z $version ]]; then
    printf 'no kernel %s in %s\n' "$2" "${kernel_suites[*]}" >&2
    return 1
  fi
  # Up to 6.18 all is in linux-image. Later that depends on the other two.
  mapfile -t packages < <(search_archive "^linux-(image|binary|modules)-${version//[.+]/\\&}\$")
  work=$(mktemp -d "$1/fetch.XXXXXX") || return 1
  if ! unpack_packages "$work/tree" "${packages[@]}"; then
    rm -rf "$work"
    return 1
  fi
  printf '%s\n' "$version" >"$work/version"
  if ! find "$work/tree" -name 'vmlinuz*' -exec cp {} "$work/vmlinuz" \; ||
    [[ ! -s $work/vmlinuz ]]; then
    printf 'no vmlinuz in %s\n' "${packages[*]}" >&2
    rm -rf "$work"
    return 1
  fi
  mkdir -p "$1/kernels" && rm -rf "$1/kernels/$2" && mv "$work" "$1/kernels/$2"
}

# get_headers SERIES: sets `headers`, what modules for that kernel are built with. Of Debian 12's own: what builds
# later ones needs a newer libc.
get_headers() {
  local cache
  fill_rig_cache fetch_headers "$1" || return 1
  headers=$cache/kernels/$1/headers/usr/src/linux-headers-$(cat "$cache/kernels/$1/version")
}

# fetch_headers CACHE SERIES: fills CACHE/kernels/SERIES/headers. The archive has them for its newest kernel alone.
fetch_headers() {
  local directory=$1/kernels/$2
  if [[ -e $directory/headers ]]; then return 0; fi
  if [[ ! -e $directory/vmlinuz ]]; then download_kernel "$1" "$2" || return 1; fi
  download_headers "$1" "$2" && return 0
  download_kernel "$1" "$2" && download_headers "$1" "$2"
}

download_headers() {
  local archive directory=$1/kernels/$2 version work
  version=$(cat "$directory/version") || return 1
  open_archive "$1/archive-kernels" "${kernel_suites[@]}" || return 1
  work=$(mktemp -d "$1/fetch.XXXXXX") || return 1
  # The makefile names the place where the package would be.
  if ! unpack_packages "$work" "linux-headers-$version" "linux-headers-${version%-cloud-amd64}-common" "linux-kbuild-$2" ||
    ! sed -i 's|^include /usr/src/|include ../|' "$work/usr/src/linux-headers-$version/Makefile"; then
    rm -rf "$work"
    return 1
  fi
  mv "$work" "$directory/headers"
}

# build_module DIRECTORY SERIES SOURCES: a module of ours for that kernel, in DIRECTORY.
build_module() {
  local headers
  get_headers "$2" || return 1
  mkdir -p "$1" && cp "$3"/* "$1/" || return 1
  quietly make -C "$headers" "M=$(realpath -- "$1")" modules
}
