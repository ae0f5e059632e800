/// Times of each step, and how they are shown.
struct AnswerSteps {
  var registration = Samples()
  var answer = Samples()
  var reading = Samples()
  var scan = Samples()
  var encode = Samples()
  var getAgain = Samples()
  var turningOff = Samples()
  var stop = Samples()
  var writtenPages = 0

  /// Adds the answer and what the source says of its part in it.
  mutating func add(answer whole: Duration, _ times: LoggedPages.Times) {
    answer.add(whole)
    reading.add(times.reading)
    scan.add(whole - times.reading)
  }

  func print() {
    var table = Table(["step", "median ms", "best ms", "share of the answer"])
    func add(_ name: String, _ samples: Samples, isPart: Bool = false) {
      let share = isPart ? (samples.median / answer.median * 100).fixed(1) + " %" : ""
      table.add([name, samples.median.milliseconds, samples.best.milliseconds, share])
    }
    add("slot registered, log on", registration)
    add("`zeroedRanges`, the answer", answer, isPart: true)
    add("- source", reading, isPart: true)
    add("- scan, 255 largest, sorted", scan, isPart: true)
    add("reply encoded", encode, isPart: true)
    add("`KVM_GET_DIRTY_LOG`, second time (floor)", getAgain)
    add("`ZeroTracker.stop`", stop)
    add("- log off", turningOff)
    table.print()
  }
}
