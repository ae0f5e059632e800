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

  func report(as section: Section) throws(BenchmarkError) {
    var section = section
    func add(_ name: String, _ samples: Samples, floor: (String, Samples)? = nil) {
      section.add(
        Figure(
          name: name, unit: "ms", samples: samples.scaled(by: 1e3),
          floor: floor.map { ($0.0, $0.1.scaled(by: 1e3)) }))
    }
    add("answer: both below", answer)
    add("reading the log", reading, floor: ("the system call alone", getAgain))
    add("NOR, top 255, sorted", scan)
    add("encoding the reply", encode)
    add("before: slot registered, log on", registration)
    add("after: tracking ended", stop)
    add("of it: log off", turningOff)
    try section.finish()
  }
}
