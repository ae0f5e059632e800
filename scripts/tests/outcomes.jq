# Swift Testing's event stream (one JSON record a line, the last one possibly torn by a crash) as
# lines "outcome <tab> test <tab> text", outcome being passed, failed, skipped or closing.
def text: [.messages[].text] | join(" ");
def reason: sub("^.*? skipped:? ?"; "") | sub("^\"(?<words>.*)\"$"; .words);
def failing: any(.messages[]; .symbol == "fail");

[inputs | fromjson?] as $records
| [$records[] | select(.kind == "event") | .payload] as $events
| (reduce ($events[] | select(.testID)) as $event ({};
    if $event.kind == "testStarted" then
      .[$event.testID] = ["failed", "started, never ended"]
    elif $event.kind == "testSkipped" then
      .[$event.testID] = ["skipped", ($event | text | reason)]
    elif $event.kind == "testEnded" then
      .[$event.testID] = [(if $event | failing then "failed" else "passed" end), ($event | text)]
    else . end)) as $outcomes
| ($records[] | select(.kind == "test" and .payload.kind == "function") | .payload.id
    | select($outcomes[.]) | [$outcomes[.][0], sub("/[^/]*:[0-9]+:[0-9]+$"; ""), $outcomes[.][1]]),
  ($events[] | select(.kind == "runEnded") | ["closing", "-", text])
| @tsv
