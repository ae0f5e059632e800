# bench.json as one Markdown table.
def digits:
  if . == null then ""
  elif . >= 100 then (round | tostring)
  elif . >= 1 then (. * 100 | round / 100 | tostring)
  else (. * 100000 | round / 100000 | tostring)
  end;
"| where | what | unit | median | best | spread | against | median | best | ratio (of bests) | goal |",
"| --- | --- | --- | ---: | ---: | ---: | --- | ---: | ---: | ---: | ---: |",
(.figures[]
  | [.where, "\(.section): \(.name)", .unit, (.median | digits), (.best | digits),
     "\(.spread * 100 | round) %", (.floor // ""), (.floorMedian | digits),
     (.floorBest | digits),
     (if .ratio then "\(.ratio | digits) (\(.ratioOfBests | digits))" else "" end),
     (if .goal then (.goal | digits) elif .limit then "\(.limit | digits) \(.unit)" else "" end)]
  | "| " + join(" | ") + " |")
