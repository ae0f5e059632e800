# A report of `vmm-run demo --compare --json` as figures; $name is of the machine. One run each.
def figure(what; unit; value):
  (.with | value) as $with | (.without | value) as $without
  | {section: "what the guest saves", name: "\($name): \(what)", unit: unit, count: 1,
     median: $with, best: $with, spread: 0, floor: "without 0x8002", floorMedian: $without,
     floorBest: $without, floorSpread: 0,
     ratio: (if $without > 0 then $with / $without else null end)}
  | .ratioOfBests = .ratio;
figure("vCPU ticks"; "ticks"; .vcpuTicks | .total? // ([.[]] | add)),
figure("resident"; "MiB"; .residentBytes / 1048576 | round),
figure("elapsed"; "s"; .elapsedSeconds)
