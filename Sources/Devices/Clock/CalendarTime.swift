/// A date and time of day in the Gregorian calendar, without a zone.
struct CalendarTime: Equatable, Sendable {
  /// 0 to 9999.
  var year: Int
  /// 1 to 12.
  var month: Int
  /// 1 to 31.
  var day: Int
  var hour: Int
  var minute: Int
  var second: Int

  static let secondsPerDay: Int64 = 86_400
  /// 9999-12-31T23:59:59 and 0000-01-01T00:00:00 in seconds since 1970: what four digits can say.
  private static let representable: ClosedRange<Int64> = -62_167_219_200...253_402_300_799

  init(year: Int, month: Int, day: Int, hour: Int, minute: Int, second: Int) {
    self.year = year
    self.month = month
    self.day = day
    self.hour = hour
    self.minute = minute
    self.second = second
  }

  /// The time so many seconds after 1970 began; before year 0 or past 9999 the nearest time that is
  /// not.
  init(secondsSince1970: Int64) {
    let seconds = min(
      max(secondsSince1970, Self.representable.lowerBound), Self.representable.upperBound)
    // Positive from here on: year 0 began 719528 days before 1970.
    let total = seconds - Self.representable.lowerBound
    let time = Int(total % Self.secondsPerDay)
    // Count from 1 March of year -400, so that leap days end their year.
    let days = Int(total / Self.secondsPerDay) + 146_097 - 60
    let era = days / 146_097
    let dayOfEra = days % 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let marchMonth = (5 * dayOfYear + 2) / 153
    month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
    day = dayOfYear - (153 * marchMonth + 2) / 5 + 1
    year = yearOfEra + (era - 1) * 400 + (month <= 2 ? 1 : 0)
    hour = time / 3600
    minute = time / 60 % 60
    second = time % 60
  }

  /// Seconds since 1970 began. A day past its month's end counts on into the next month.
  var secondsSince1970: Int64 {
    let marchYear = year + 400 - (month <= 2 ? 1 : 0)
    let era = marchYear / 400
    let yearOfEra = marchYear % 400
    let marchMonth = month <= 2 ? month + 9 : month - 3
    let dayOfYear = (153 * marchMonth + 2) / 5 + day - 1
    let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
    let days = (era - 1) * 146_097 + dayOfEra - 719_468
    return Int64(days) * Self.secondsPerDay + Int64(hour * 3600 + minute * 60 + second)
  }

  /// 1 for Sunday to 7 for Saturday.
  var weekday: Int {
    let days = Int((secondsSince1970 - Self.representable.lowerBound) / Self.secondsPerDay)
    // The first day of year 0 was a Saturday.
    return (days + 6) % 7 + 1
  }
}
