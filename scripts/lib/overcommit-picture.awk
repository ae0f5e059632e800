# The resident memory of two guests over time, with hints and without, as a picture (SVG 1.1): a line for the sum of both.
#
#   awk -v limit=MiB -f scripts/lib/overcommit-picture.awk overcommit-none.resident overcommit-discard.resident >FILE.svg
#
# A line of input: seconds, then the KiB of each process that is there. The legend has a file's name between `-` and `.`.

BEGIN { width = 720; height = 320; left = 90; top = 60 }

FNR == 1 {
  files++
  name[files] = FILENAME
  sub(/.*-/, "", name[files])
  sub(/\..*/, "", name[files])
  start = $1
}

{
  time = $1 - start
  sum = 0
  for (field = 2; field <= NF; field++) sum += $field / 1024
  n = ++count[files]
  times[files, n] = time
  sums[files, n] = sum
  if (time > end) end = time
  if (sum > most) most = sum
}

function across(time) { return sprintf("%.1f", left + width * time / end) }
function down(size) { return sprintf("%.1f", top + height * (1 - size / most)) }
function text(left_, top_, anchor, words) {
  printf "<text x=\"%s\" y=\"%s\" text-anchor=\"%s\" font-size=\"14\" fill=\"#222222\">%s</text>\n", left_, top_, anchor, words
}
function rule(size, style) {
  printf "<line x1=\"%d\" y1=\"%s\" x2=\"%d\" y2=\"%s\" %s/>\n", left, down(size), left + width, down(size), style
}

END {
  if (limit > most) most = limit
  most *= 1.05
  split("#0072b2 #d55e00 #009e73", colours, " ")
  split("none;8 3;2 3", dashes, ";")
  printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\">\n", \
    left + width + 40, top + height + 70 + 22 * files
  print "<title>Resident memory of two guests</title>"
  print "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>"
  text(left, 30, "start", "Resident memory of two guests of 512 MiB, together")
  for (size = 0; size < most; size += 128) {
    rule(size, "stroke=\"#dddddd\"")
    text(left - 8, down(size) + 5, "end", size " MiB")
  }
  step = end > 120 ? 60 : 20
  for (time = 0; time <= end; time += step) text(across(time), top + height + 22, "middle", time " s")
  rule(limit, "stroke=\"#222222\" stroke-width=\"2\"")
  text(left + width, down(limit) - 6, "end", "the cgroup's limit, " limit " MiB")
  for (file = 1; file <= files; file++) {
    printf "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"2\" stroke-dasharray=\"%s\" points=\"", colours[file], dashes[file]
    for (n = 1; n <= count[file]; n++) printf "%s,%s ", across(times[file, n]), down(sums[file, n])
    print "\"/>"
    row = top + height + 30 + 22 * file
    printf "<line x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\" stroke=\"%s\" stroke-width=\"3\" stroke-dasharray=\"%s\"/>\n", \
      left, row - 5, left + 40, row - 5, colours[file], dashes[file]
    text(left + 50, row, "start", "--memory-hints " name[file])
  }
  print "</svg>"
}
