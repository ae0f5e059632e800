# shellcheck shell=bash
# shellcheck disable=SC2034 # lists for scripts/docs and scripts/test
# The public interface of the libraries: as pages (docc) and as lists (docs/api). Sourced, never run. Needs a debug
# build.

# With a catalogue: what embedders begin with.
documented_modules=(HyperVCore ZeroTracker VMM MachineSpecification)
# Whose public interface is a promise: with what the examples import.
public_modules=("${documented_modules[@]}" DeviceKit GuestMemory KVM)
public_interface=docs/api

# extract_symbols MODULE DIRECTORY: its public symbols, as symbol graphs.
extract_symbols() {
  rm -rf "$2" && mkdir -p "$2"
  swift symbolgraph-extract -module-name "$1" -target x86_64-unknown-linux-gnu \
    -I "$(swift build --show-bin-path)/Modules" -I Sources/CKVM/include -I Sources/CLinux/include \
    -minimum-access-level public -output-dir "$2"
}

# list_interface DIRECTORY: a line for each declaration that is the module's own, from its symbol graphs.
list_interface() {
  find "$1" -name '*.symbols.json' -exec jq -r '.symbols[]
    | select(.identifier.precise | contains("::SYNTHESIZED::") | not)
    | (.pathComponents | join(".")) + ": "
      + ([.declarationFragments[]?.spelling] | join("") | gsub("\\s+"; " "))' {} + | LC_ALL=C sort -u
}

# convert_catalogue MODULE DIRECTORY ARCHIVE [OPTION...]: pages from its catalogue and symbol graphs.
convert_catalogue() {
  local module=$1 graphs=$2 archive=$3
  shift 3
  docc convert "Sources/$module/$module.docc" --additional-symbol-graph-dir "$graphs" \
    --output-path "$archive" "$@"
}
