# shellcheck shell=bash
# Debian packages: which are missing, and how to get them. Sourced, never run.

# as_root COMMAND...: runs it as root, through sudo when that asks no password.
as_root() {
  if [[ $EUID -eq 0 ]]; then
    "$@"
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    sudo -n "$@"
  else
    return 126
  fi
}

# quietly COMMAND...: runs it without output, which is shown if it fails.
quietly() {
  local output status=0
  output=$("$@" 2>&1 </dev/null) || status=$?
  if [[ $status -ne 0 ]]; then
    printf '%s\n' "$output" >&2
  fi
  return "$status"
}

# missing_packages PACKAGE...: prints those that are not installed, one a line.
missing_packages() {
  local package
  for package in "$@"; do
    if [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) != installed ]]; then
      printf '%s\n' "$package"
    fi
  done
}

# update_package_lists: `apt-get update`, once per process.
package_lists_updated=false
update_package_lists() {
  if ! $package_lists_updated; then
    quietly as_root apt-get -qq update
    package_lists_updated=true
  fi
}

# require_packages PACKAGE...: installs what is missing, or says which command would.
require_packages() {
  local -a missing
  mapfile -t missing < <(missing_packages "$@")
  if [[ ${#missing[@]} -eq 0 ]]; then
    return 0
  fi
  if ! as_root true; then
    printf 'missing Debian packages; neither root nor password-free sudo to install them; run\n' >&2
    printf '  apt-get install --no-install-recommends %s\n' "${missing[*]}" >&2
    return 1
  fi
  local -a install=(
    apt-get -qq -y --no-install-recommends -o DPkg::Lock::Timeout=300 install "${missing[@]}")
  # Package lists may be absent or stale: on failure, refresh them and try once more.
  if as_root env DEBIAN_FRONTEND=noninteractive "${install[@]}" >/dev/null 2>&1 </dev/null; then
    return 0
  fi
  update_package_lists
  quietly as_root env DEBIAN_FRONTEND=noninteractive "${install[@]}"
}
