# The figures of one section of bench.json ($where, $section) as a Markdown table; nothing if it has none. The
# section "run" is what was run.
include "bench-digits";
def pair(median; best): "\(median | digits) (\(best | digits))";
def row: "| " + join(" | ") + " |";
if $section == "run" then
  (["date", "commit", "load at the end", "host", "processor", "memory"] | row),
  ("| --- | --- | --- | --- | --- | --- |"),
  ([.date, .commit, .load, .host.kernel, "\(.host.cpus) x \(.host.processor)", .host.memory] | row)
else
  [.figures[] | select(.where == $where and .section == $section)] as $figures
  | ($figures | map(.floor // empty) | unique) as $floors
  | ($figures | any(.goal or .limit)) as $hasGoals
  | if $figures == [] then empty
    else
      (["what", "n", "unit", "median (best)", "spread"]
        + (if $floors == [] then []
           elif ($floors | length) == 1 then ["\($floors[0])", "ratio (of bests)"]
           else ["against", "its median (best)", "ratio (of bests)"] end)
        + (if $hasGoals then ["goal"] else [] end)
        | ., [to_entries[] | if .key == 0 or .value == "unit" or .value == "against" then "---" else "---:" end]
        | row),
      ($figures[]
        | [.name, (.count | tostring), .unit, pair(.median; .best), "\(.spread * 100 | round) %"]
          + (if $floors == [] then []
             else (if ($floors | length) == 1 then [] else [.floor // ""] end)
               + (if .ratio then [pair(.floorMedian; .floorBest), pair(.ratio; .ratioOfBests)] else ["", ""] end)
             end)
          + (if $hasGoals then
               [if .goal then (.goal | digits) elif .limit then "\(.limit | digits) \(.unit)" else "" end]
             else [] end)
        | row)
    end
end
