# shellcheck shell=bash
# shellcheck disable=SC2154 # here, logs, vmm_run: set by scripts/test, report.sh, demo.sh
# Step of scripts/test: the Debian package, installed in a system of its own, its unit, and the image. Sourced, never
# run; needs packages.sh and archive.sh. What runs under systemd is in package-unit.sh.

package_place=$logs/package

# get_package_root: sets `package_root`, the rig cache's tar file of a Debian 12 with systemd, passt and swtpm.
get_package_root() {
  local cache
  fill_rig_cache fetch_package_root || return 1
  package_root=$cache/package-root.tar
}

# fetch_package_root CACHE: makes CACHE/package-root.tar, unless it is there. Whoever calls it holds the lock of the
# cache.
fetch_package_root() {
  local work status=0
  if [[ -e $1/package-root.tar ]]; then
    return 0
  fi
  work=$(mktemp -d "$1/fetch.XXXXXX") || return 1
  logged debootstrap as_root debootstrap --variant=minbase --include=passt,swtpm,systemd-sysv bookworm "$work/root" \
    "$(archive_mirror debian)" || status=$?
  if [[ $status -eq 0 ]]; then
    as_root tar -c -C "$work/root" --exclude='./var/cache/apt/*' --exclude='./var/lib/apt/lists/*' \
      --exclude='./usr/share/doc/*' --exclude='./usr/share/locale/*' . >"$work/root.tar" &&
      mv "$work/root.tar" "$1/package-root.tar" || status=$?
  fi
  as_root rm -rf "$work"
  return "$status"
}

# try NAME COMMAND...: a check that passes if the command does; its output is in a log.
try() {
  local name=$1 log
  log=package-$(tr -c 'a-z0-9\n' '-' <<<"$name")
  shift
  if logged "$log" "$@"; then pass_check "package: $name"; else fail_check "package: $name"; fi
}

# in_root COMMAND...: in the installed system. Its mounts and processes end with it.
in_root() {
  # shellcheck disable=SC2016 # for the shell inside
  as_root unshare --mount --pid --fork --kill-child sh -c '
    root=$1 && shift
    mount -t proc proc "$root/proc"
    if [ -e /dev/kvm ]; then
      : >>"$root/dev/kvm"
      mount --bind /dev/kvm "$root/dev/kvm"
    fi
    exec chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive "$@"' sh "$root" "$@"
}

# has_kvm NAME: whether guests run here; NAME is skipped if not.
has_kvm() {
  if [[ ! -r /dev/kvm || ! -w /dev/kvm ]]; then
    skip_check "package: $1" 'needs read-write /dev/kvm'
    return 1
  fi
}

# demo_is_true COMMAND...: runs a comparing demo, whose last line is its verdict.
demo_is_true() {
  "$@" | tee "$package_place/demo.txt"
  grep -qE '^Every one of the [0-9,]+ reported pages was read by the guest and is zero\.$' "$package_place/demo.txt"
}

is_reproducible() {
  local again
  again=$(umask 077 && TZ=Asia/Tokyo "$here/package" deb --binary "$vmm_run" --output "$package_place/again") || return 1
  cmp "$package" "$again"
}

check_files() {
  local files=$package_place/files
  dpkg-deb -x "$package" "$files" || return 1
  try 'lintian has no error and no warning' lintian --fail-on error,warning "$package"
  gunzip "$files"/usr/share/man/man1/*.gz || return 1
  try 'manual pages are good' mandoc -T lint -W style "$files"/usr/share/man/man1/*.1
  try 'zsh reads its completion' zsh -n "$files/usr/share/zsh/vendor-completions/_vmm-run"
  sed -n '/^  machine.json: |$/,/^---$/{/^    /p}' packaging/kubernetes.yaml >"$package_place/machine.json"
  try 'the machine for Kubernetes is one' "$files/usr/bin/vmm-run" run --config "$package_place/machine.json" \
    --print-config
  try 'fish completes' fish_completes "$files/usr/share/fish/vendor_completions.d/vmm-run.fish"
}

fish_completes() {
  local found
  # shellcheck disable=SC2016 # for fish
  found=$(fish --no-config -c 'source $argv[1]; complete -C "vmm-run demo --backing me"' "$1")
  printf '%s\n' "$found"
  [[ $found == memfd* ]]
}

bash_completes() {
  local found
  # shellcheck disable=SC2016 # for the shell inside
  found=$(in_root bash -c 'source /usr/share/bash-completion/completions/vmm-run
    COMP_WORDS=(vmm-run demo --backing me) COMP_CWORD=3
    _vmm_run && printf "%s\n" "${COMPREPLY[@]}"')
  printf '%s\n' "$found"
  [[ $found == memfd ]]
}

# check_installation: in a system that has nothing of this project.
check_installation() {
  local root=$package_place/root
  mkdir "$root" && as_root tar -x -C "$root" <"$package_root" || return 1
  as_root cp "$package" "$root/root/vmm-run.deb"
  # On hosts it is there, made by udev.
  if [[ -e /dev/kvm ]]; then
    printf 'kvm:x:%s:\n' "$(stat -c %g /dev/kvm)" | as_root tee -a "$root/etc/group" >/dev/null
  fi
  try 'apt-get installs it' in_root apt-get -q -y --no-install-recommends install /root/vmm-run.deb
  try 'all its files are there' in_root dpkg --verify vmm-run
  try 'its version is the program'"'"'s' in_root vmm-run --version
  try 'bash completes' bash_completes
  if has_kvm 'demo in the installed system'; then
    try 'demo in the installed system' demo_is_true in_root vmm-run demo --compare
  fi
  try 'systemd understands the unit' in_root systemd-analyze verify --man=no vmm-run@test.service
  if has_kvm 'the unit starts and stops a machine'; then check_unit "$root"; fi
  try 'apt-get removes it' in_root apt-get -q -y purge vmm-run
  if [[ -e $root/usr/bin/vmm-run || -e $root/usr/share/doc/vmm-run || -e $root/etc/vmm-run ]]; then
    fail_check 'package: something is left after it was removed'
  fi
  as_root rm -rf "$root"
}

# check_unit ROOT: boots the system as a container, in which package-unit.sh uses the unit.
check_unit() {
  local name='the unit starts and stops a machine' line
  as_root install -m 755 "$here/tests/package-unit.sh" "$1/root/unit.sh"
  as_root tee "$1/etc/systemd/system/unit-test.service" >/dev/null <<'UNIT'
[Unit]
DefaultDependencies=no
Wants=basic.target
After=basic.target
[Service]
Type=oneshot
ExecStart=/root/unit.sh
UNIT
  # Its output is the container's console. The network is the host's: passt looks for one.
  as_root timeout --kill-after=5 120 systemd-nspawn --quiet --register=no --keep-unit --directory="$1" \
    --bind=/dev/kvm --boot systemd.unit=unit-test.service >"$logs/package-unit.log" 2>&1 </dev/null || true
  if ! as_root test -e "$1/root/unit.results"; then
    cat "$logs/package-unit.log"
    fail_check "package: $name: systemd did not come to it"
    return 0
  fi
  as_root cp "$1/root/unit.results" "$package_place/unit.results"
  while IFS= read -r line; do
    case $line in
      'passed '*) pass_check "package: ${line#* }" ;;
      *) fail_check "package: ${line#* }" ;;
    esac
  done <"$package_place/unit.results"
  if grep -qv '^passed ' "$package_place/unit.results"; then as_root cat "$1/root/unit.log"; fi
}

# in_image NAME COMMAND...: in a container of the image, as a user without any privilege, who may use /dev/kvm.
in_image() {
  local name=$1 bundle=$package_place/bundle words
  shift
  words=$(printf '%s\n' "$@" | jq -R . | jq -s .)
  jq --argjson words "$words" --argjson group "$(stat -c %g /dev/kvm 2>/dev/null || printf 0)" '
    .process.args = $words | .process.terminal = false | .process.noNewPrivileges = true |
    .process.user = {uid: 65533, gid: 65533, additionalGids: [$group]} | .process.capabilities = {} |
    .root.readonly = true | .mounts += [{
      destination: "/var/lib/vmm-run", type: "tmpfs", source: "tmpfs", options: ["mode=1777", "nosuid", "nodev"]
    }] | .mounts |= map(select(.type != "cgroup")) |
    if $kvm then .mounts += [{destination: "/dev/kvm", type: "bind", source: "/dev/kvm", options: ["bind", "rw"]}]
    else . end
  ' --argjson kvm "$([[ -e /dev/kvm ]] && printf true || printf false)" "$package_place/config.json" |
    as_root tee "$bundle/config.json" >/dev/null || return 1
  # crun refuses hosts with both kinds of cgroups, though it is to make none.
  # shellcheck disable=SC2016 # for the shell inside
  as_root timeout --kill-after=5 120 unshare --mount sh -c '
    if mountpoint -q /sys/fs/cgroup/unified; then umount /sys/fs/cgroup/unified; fi
    exec "$@"' sh crun --root "$package_place/crun" --cgroup-manager=disabled run --bundle "$bundle" \
    "vmm-run-test-$$-$name"
}

check_image() {
  local line bundle=$package_place/bundle
  "$here/package" oci --binary "$vmm_run" --output "$package_place" >/dev/null || return 1
  # Checks each blob against its digest.
  try 'umoci unpacks the image' as_root umoci unpack --image "$package_place/oci:latest" "$bundle"
  as_root cat "$bundle/config.json" >"$package_place/config.json" || return 1
  try 'the image starts vmm-run' test "$(jq -c .process.args "$package_place/config.json")" = '["/usr/bin/vmm-run","--help"]'
  try 'swtpm runs in the image' in_image swtpm swtpm --version
  try 'passt runs in the image' in_image passt passt --version
  in_image check vmm-run check >"$package_place/check.txt" 2>&1 </dev/null || true
  for line in 'UEFI firmware (--firmware auto)' 'TPM emulator (--tpm)' 'passt (--net user)'; do
    try "the image has: $line" grep -E "^  ${line//[()]/.} +available" "$package_place/check.txt"
  done
  if has_kvm 'demo in the image'; then
    try 'check in the image says that guests can run' grep -q '^This host can run guests' "$package_place/check.txt"
    try 'demo in the image' demo_is_true in_image demo vmm-run demo --compare --memory 256M
  fi
  as_root rm -rf "$bundle"
}

run_package() {
  local package package_root
  require_packages crun debootstrap fish lintian mandoc systemd-container umoci zsh || return 1
  as_root rm -rf "$package_place"
  mkdir -p "$package_place"
  get_package_root || return 1
  package=$("$here/package" deb --binary "$vmm_run" --output "$package_place") || return 1
  package=$PWD/${package#"$PWD/"}
  try 'the same bytes at another time and place' is_reproducible
  check_files || return 1
  check_installation || return 1
  check_image
}
