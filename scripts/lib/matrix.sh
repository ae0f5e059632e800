# shellcheck shell=bash
# shellcheck disable=SC2154 # here: set by who sources this
# The tracking matrix in the rig. Sourced, never run.

# run_matrix_in_rig SECONDS DIRECTORY [GRANULARITIES] [EVERY]: leaves events.json and matrix.jsonl in DIRECTORY.
# EVERY 2 leaves every second machine out.
# 520 huge pages are the 1 GiB of the largest machine, and some; the disk is for swapping one out.
run_matrix_in_rig() {
  local -a bundles=("$(swift build --show-bin-path)"/*PackageTests.xctest)
  rm -rf "$2"
  "$here/rig" --timeout "$1" --memory 4096 --hugepages 520 --disk 2G --out "$2" \
    --file "${bundles[0]}:/usr/bin/bundle" --env "GRANULARITIES=${3:-4K,2M,32M}" --env "EVERY=${4:-1}" \
    --script "$here/tests/matrix-in-rig.sh"
}
