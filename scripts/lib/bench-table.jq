# bench.json as one Markdown table.
include "bench-digits";
"| where | what | unit | median | best | spread | against | median | best | ratio (of bests) | goal |",
"| --- | --- | --- | ---: | ---: | ---: | --- | ---: | ---: | ---: | ---: |",
(.figures[]
  | [.where, "\(.section): \(.name)", .unit, (.median | digits), (.best | digits),
     "\(.spread * 100 | round) %", (.floor // ""), (.floorMedian | digits),
     (.floorBest | digits),
     (if .ratio then "\(.ratio | digits) (\(.ratioOfBests | digits))" else "" end),
     (if .goal then (.goal | digits) elif .limit then "\(.limit | digits) \(.unit)" else "" end)]
  | "| " + join(" | ") + " |")
