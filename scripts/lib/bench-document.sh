# shellcheck shell=bash
# Puts figures of bench.json into a document. Sourced by scripts/bench.

# document_figures BENCH-JSON DOCUMENT: replaces the table after each line "<!-- figures: WHERE, SECTION -->" by
# that of the run; one that the run has no figures for stays.
document_figures() {
  local json=$1 document=$2 line marker='^<!-- figures: ([a-z]+), (.*) -->$' table is_old=0
  while IFS= read -r line; do
    if ((is_old)) && [[ -z $line || $line == '|'* ]]; then continue; fi
    is_old=0
    printf '%s\n' "$line"
    [[ $line =~ $marker ]] || continue
    table=$(jq -L scripts/lib --raw-output --arg where "${BASH_REMATCH[1]}" --arg section "${BASH_REMATCH[2]}" \
      --from-file scripts/lib/bench-section.jq "$json")
    [[ -n $table ]] || continue
    printf '\n%s\n\n' "$table"
    is_old=1
  done <"$document" >"$document.new"
  mv "$document.new" "$document"
}
