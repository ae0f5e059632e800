# shellcheck shell=bash
# shellcheck disable=SC2154 # logs, public_modules and the like: set by scripts/test, report.sh, documentation.sh
# Steps of scripts/test: packages, format, builds. Sourced, never run.

# What a Swift toolchain needs to link, and what the checks need; scripts/rig looks after its own.
packages=(acpica-tools binutils busybox-static cpio curl debian-archive-keyring dmidecode e2fsprogs edid-decode gcc git iproute2 jq
  libc6-dev libstdc++-12-dev linux-libc-dev make mandoc nvme-cli passt pciutils qemu-utils swtpm tpm2-tools
  util-linux util-linux-extra shellcheck xz-utils)

install_packages() {
  if ! command -v swift >/dev/null; then
    printf 'no swift on PATH; install a Swift 6.3 toolchain (swift.org/install/linux)\n'
    return 1
  fi
  require_packages "${packages[@]}" || return 1
  logged toolchain swift --version || return 1
  grep -m 1 -i 'swift version' "$logs/toolchain.log"
}

lint_format() {
  logged format swift format lint --strict --recursive Package.swift Sources Tests Benchmarks Fuzz \
    examples && refuse_long_comments
}

# What the formatter does not see: comments past the 100th column. A string may be longer.
refuse_long_comments() {
  ! LC_ALL=C.UTF-8 grep -rnE --include='*.swift' '^.{101,}$' \
    Package.swift Sources Tests Benchmarks Fuzz examples | grep -E '^[^:]+:[0-9]+:(.*[[:space:]])?//' |
    cut -c 1-160
}

# All scripts, by name or by their first line.
lint_scripts() {
  local -a scripts
  mapfile -t scripts < <(find .ci scripts findings -type f \
    \( -name '*.sh' -o -exec grep -qE -m 1 '^#!.*sh' {} \; \) -print | sort)
  logged scripts shellcheck --external-sources "${scripts[@]}" || return 1
  local finding
  for finding in findings/*.sh; do
    if ! grep -qF "| \`${finding##*/}\` |" docs/testing.md; then
      fail_check "$finding is not in the table of docs/testing.md"
    fi
  done
  printf '%d scripts\n' "${#scripts[@]}"
}

# For builds that only run: reports have their lines, debuggers no variables. A tenth of the compiler's time less.
# Not without an index, too: SwiftPM looks for tests in it.
lean_build=(-Xswiftc -gline-tables-only)

# A person's build is the one that `swift build` and debuggers have, so that neither builds it anew.
build_debug() {
  local -a options=()
  if [[ ${CI-} == true ]]; then options=("${lean_build[@]}"); fi
  logged build-debug swift build --build-tests "${options[@]}"
}

# There while the static release build is this tree's; a step in a process of its own sets no variable.
release_built=.build-static/built

# Static, as released: runs without any library. A scratch path of its own keeps the debug build. One job:
# others run beside it.
build_release() {
  rm -f "$release_built"
  logged build-release swift build -c release --jobs 1 -Xswiftc -static-executable --disable-build-manifest-caching \
    --product vmm-run --scratch-path .build-static || return 1
  touch "$release_built"
}

# What must not compile: see the file. `-verify` compares the compiler's errors with those expected.
refuse_forbidden_paths() {
  logged forbidden-paths swiftc -frontend -typecheck -verify -verify-ignore-unrelated \
    -swift-version 6 -I "$(swift build --show-bin-path)/Modules" -I Sources/CKVM/include -I Sources/CLinux/include \
    Tests/ForbiddenPaths/GuestMemoryWriters.swift
}

# Each catalogue names what its module has: a name that is gone is a warning of docc. And the public interface is the
# one that docs/api has, so that nobody changes it without knowing.
check_documentation() {
  local module graphs out=.build-test/documentation
  for module in "${public_modules[@]}"; do
    graphs=$out/$module
    logged "symbols-$module" extract_symbols "$module" "$graphs" || return 1
    if list_interface "$graphs" | diff "$public_interface/$module.txt" -; then
      pass_check "public interface of $module"
    else
      fail_check "public interface of $module is another one: see scripts/docs api"
    fi
  done
  for module in "${documented_modules[@]}"; do
    logged "docc-$module" convert_catalogue "$module" "$out/$module" "$out/$module.doccarchive" || return 1
    if grep -A 2 "doesn't exist at" "$logs/docc-$module.log"; then
      fail_check "documentation of $module: a name that is gone"
    else
      pass_check "documentation of $module"
    fi
  done
}

# Built only, so that they cannot rot; scripts/bench runs them. In the place of the release build, whose
# modules they find there: a tenth of the work. The plan is their own: a cached one may be that of the release build.
build_benchmarks() {
  logged build-benchmarks swift build --jobs 1 -c release -Xswiftc -static-executable \
    --disable-build-manifest-caching --package-path Benchmarks --scratch-path .build-static
}

# What the guest of examples/tiny-vmm prints: all its memory except page 512, which it writes, and
# the chunk of the VMM's own writes.
tiny_vmm_output='status of 0x8002: HV_STATUS_SUCCESS (0x0)
the guest was given pages 513..<16384 as zero
the guest was given pages 16..<512 as zero'
whole_machine_output='Hi
the guest exited with 7'

# check_example PROGRAM OUTPUT
check_example() {
  local name="example $1" output status=0
  if [[ ! -r /dev/kvm || ! -w /dev/kvm ]]; then
    skip_check "$name" 'needs read-write /dev/kvm'
    return 0
  fi
  output=$(timeout --kill-after=5 120 ".build-examples/debug/$1" 2>&1 </dev/null) || status=$?
  if [[ $output == "$2" && $status -eq 0 ]]; then
    pass_check "$name"
  else
    fail_check "$name: exit status $status, $output"
  fi
}

# publish_tree DIRECTORY VERSION: this tree, with what is not committed, as a repository of its own with that tag.
publish_tree() {
  local index commit
  rm -rf "$1"
  git init --quiet --bare "$1" || return 1
  index=$(mktemp -u) || return 1
  GIT_INDEX_FILE=$index git add --all || return 1
  commit=$(git -c user.name=examples -c user.email=examples@localhost commit-tree -m "$2" \
    "$(GIT_INDEX_FILE=$index git write-tree)") || return 1
  rm -f "$index"
  git push --quiet "$1" "$commit:refs/tags/$2"
}

# Built as an embedder builds: by URL and version, with settings of its own. A dependency by path is less: it takes
# settings that one by URL refuses.
run_examples() {
  local status=0 version
  local -a place=(--package-path .build-examples/package --scratch-path .build-examples)
  # Each time another: SwiftPM wants a version to be the same for ever.
  version=0.1.$(date +%s)
  rm -rf .build-examples/package .build-examples/checkouts .build-examples/repositories \
    .build-examples/workspace-state.json
  logged examples-published publish_tree .build-examples/published/vmm-run "$version" || return 1
  mkdir -p .build-examples/package
  cp -r examples/{Package.swift,Sources,Tests} .build-examples/package/
  sed -i "s|path: \"..\"|url: \"file://$PWD/.build-examples/published/vmm-run\", exact: \"$version\"|; s|name: \"vmm-run\", url|url|" \
    .build-examples/package/Package.swift
  if grep -q 'path:' .build-examples/package/Package.swift; then
    fail_check 'the examples do not name the libraries as they used to: see run_examples'
  fi
  if env -u VMM_RUN_STRICT swift package dump-package | grep -q treatAllWarnings; then
    fail_check 'a dependency by path has warnings as errors'
  fi
  logged examples-build env -u VMM_RUN_STRICT swift build --jobs 1 --build-tests \
    "${lean_build[@]}" "${place[@]}" || return 1
  logged examples timeout --kill-after=10 600 env -u VMM_RUN_STRICT swift test --skip-build \
    "${place[@]}" --event-stream-output-path "$logs/events/examples.json" \
    --event-stream-version 0 || status=$?
  count_tests examples "$status"
  check_example tiny-vmm "$tiny_vmm_output"
  check_example whole-machine "$whole_machine_output"
  check_desk_machine .build-examples/debug/desk-machine
}
