# shellcheck shell=bash
# Packages of any Debian suite, unpacked without being installed: this system's package lists and sources
# stay as they are, and no root is needed. Needs packages.sh. Sourced, never run.
#
# Everything lies in a directory that `open_archive` makes: lists, downloads, apt's configuration. Callers
# keep each other out of it. Signatures are checked with the keys of debian-archive-keyring.

archive_keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# archive_mirror NAME: the mirror of debian or debian-security that this system uses, or Debian's own.
archive_mirror() {
  local mirror
  # shellcheck disable=SC2016 # $(REPO_URI) is apt's
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
    grep -E "/$1/\$" | head -n 1)
  printf '%s' "${mirror:-http://deb.debian.org/$1/}"
}

# open_archive DIRECTORY SUITE...: sets `archive`, the directory that the other functions use.
open_archive() {
  local suite mirror
  archive=$1
  shift
  require_packages debian-archive-keyring || return 1
  mkdir -p "$archive"/{lists,cache/archives}/partial || return 1
  : >"$archive/status"
  for suite in "$@"; do
    case $suite in
      *-security) mirror=$(archive_mirror debian-security) ;;
      *) mirror=$(archive_mirror debian) ;;
    esac
    printf 'deb [arch=amd64 targets=Packages signed-by=%s] %s %s main\n' \
      "$archive_keyring" "$mirror" "$suite"
  done >"$archive/sources.list.new"
  # Read after the system's own configuration, whose proxies stay and whose hooks go.
  cat >"$archive/apt.conf" <<CONFIGURATION
#clear APT::Update;
#clear APT::Default-Release;
APT::Architecture "amd64";
APT::Get::AllowUnauthenticated "false";
APT::Get::Assume-Yes "true";
APT::Install-Recommends "false";
APT::Sandbox::User "root";
Acquire::AllowInsecureRepositories "false";
Acquire::Languages "none";
Debug::NoLocking "true";
Dir::Cache "$archive/cache";
Dir::Cache::pkgcache "packages.bin";
Dir::Cache::srcpkgcache "sources.bin";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::Etc::sourcelist "$archive/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::State "$archive";
Dir::State::Lists "$archive/lists";
Dir::State::status "$archive/status";
quiet "2";
CONFIGURATION
  if ! cmp -s "$archive/sources.list.new" "$archive/sources.list"; then
    mv "$archive/sources.list.new" "$archive/sources.list" && update_archive || return 1
  fi
}

update_archive() {
  if ! quietly apt-get -c "$archive/apt.conf" --error-on=any update; then
    # The next call begins with an update again.
    rm -f "$archive/sources.list"
    return 1
  fi
}

# fill_rig_cache FUNCTION ARGUMENT...: runs `FUNCTION CACHE ARGUMENT...` with the rig's cache, while nothing else
# fills that; sets `cache`.
fill_rig_cache() {
  cache=$(realpath -m -- "${RIG_CACHE:-$PWD/.build-rig}")
  mkdir -p "$cache" || return 1
  (
    flock 9
    "$1" "$cache" "${@:2}"
  ) 9>"$cache/lock"
}

# fetch_tree CACHE NAME SUITE FUNCTION ARGUMENT...: CACHE/NAME, unless it is there, is what `FUNCTION TREE ARGUMENT...` makes
# of that suite's packages: all of it or nothing. For fill_rig_cache.
fetch_tree() {
  local cache=$1 name=$2 suite=$3 function=$4 archive work
  shift 4
  [[ ! -e $cache/$name ]] || return 0
  open_archive "$cache/archive-$name" "$suite" || return 1
  work=$(mktemp -d "$cache/fetch.XXXXXX") || return 1
  # As others have it who look at it inside the rig.
  chmod 755 "$work"
  if ! "$function" "$work" "$@"; then
    rm -rf "$work"
    return 1
  fi
  mv "$work" "$cache/$name"
}

# search_archive PATTERN: names of packages, one a line.
search_archive() {
  apt-cache -c "$archive/apt.conf" search --names-only "$1" | cut -d ' ' -f 1
}

# unpack_packages TREE PACKAGE...: these packages alone. The lists may name a version that the archive
# has replaced; they are refreshed then.
unpack_packages() {
  local tree=$1
  shift
  clear_downloads
  if ! (cd "$archive/cache/archives" && apt-get -c "$archive/apt.conf" download "$@") \
    >/dev/null 2>&1 </dev/null; then
    update_archive || return 1
    clear_downloads
    (cd "$archive/cache/archives" && quietly apt-get -c "$archive/apt.conf" download "$@") || return 1
  fi
  unpack_downloads "$tree"
}

# unpack_with_libraries TREE SUITE PACKAGE: the package of that suite and all that it depends on, libc
# included.
unpack_with_libraries() {
  local -a install=(apt-get -c "$archive/apt.conf" --download-only -t "$2" install "$3")
  clear_downloads
  if ! "${install[@]}" >/dev/null 2>&1 </dev/null; then
    update_archive || return 1
    clear_downloads
    quietly "${install[@]}" || return 1
  fi
  unpack_downloads "$1"
}

clear_downloads() {
  find "$archive/cache/archives" -name '*.deb' -delete
}

unpack_downloads() {
  local package
  mkdir -p "$1" || return 1
  for package in "$archive"/cache/archives/*.deb; do
    dpkg-deb -x "$package" "$1" || return 1
  done
  clear_downloads
}
