/// Why a JSON text is not a machine: in one line, where, what is wrong, and what to write.
public struct MachineSpecError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The member at fault, such as `disks[1].serial`; empty for the whole.
  public let path: String
  /// What is wrong with it.
  public let problem: String

  public var description: String { path.isEmpty ? problem : "\(path): \(problem)" }
}

/// A JSON object whose members are read by their names. What was not read is not known.
struct SpecObject {
  /// Empty for the outermost.
  let path: String
  private let members: [JSONValue.Member]
  private var known: [String] = []

  init(_ value: JSONValue, path: String = "") throws(MachineSpecError) {
    guard case .object(let members) = value else {
      throw MachineSpecError(path: path, problem: "is \(value.kind) and should be an object")
    }
    self.path = path
    self.members = members
    var names: Set<String> = []
    for member in members where !names.insert(member.name).inserted {
      throw error(ArgumentText.printable(member.name), "is there twice; leave one of them out")
    }
  }

  /// The member's value; nil for null and for none.
  private mutating func value(_ name: String) -> JSONValue? {
    known.append(name)
    guard let value = members.first(where: { $0.name == name })?.value, value != .null else {
      return nil
    }
    return value
  }

  func path(of name: String) -> String { path.isEmpty ? name : "\(path).\(name)" }

  func error(_ name: String, _ problem: String) -> MachineSpecError {
    MachineSpecError(path: path(of: name), problem: problem)
  }

  /// Gives an error of a member's value its place.
  func checked<R>(
    _ name: String, _ body: () throws(SpecValueError) -> R
  ) throws(MachineSpecError) -> R {
    do throws(SpecValueError) {
      return try body()
    } catch {
      throw self.error(name, error.part.isEmpty ? "\(error)" : "\(error.part): \(error)")
    }
  }

  mutating func text(_ name: String) throws(MachineSpecError) -> String? {
    guard let value = value(name) else { return nil }
    return try text(value, name)
  }

  private func text(_ value: JSONValue, _ name: String) throws(MachineSpecError) -> String {
    guard case .text(let text) = value else {
      throw error(name, "is \(value.kind) and should be a text")
    }
    guard !text.isEmpty else { throw error(name, "is empty; leave it out or write a value") }
    // A file's name would end there.
    guard !text.utf8.contains(0) else { throw error(name, "has a NUL, which nothing takes") }
    return text
  }

  mutating func requiredText(_ name: String) throws(MachineSpecError) -> String {
    guard let text = try text(name) else { throw error(name, "is missing") }
    return text
  }

  mutating func flag(_ name: String) throws(MachineSpecError) -> Bool? {
    switch value(name) {
    case nil: return nil
    case .flag(let flag): return flag
    case let other?: throw error(name, "is \(other.kind) and should be true or false")
    }
  }

  mutating func integer(
    _ name: String, in range: ClosedRange<Int>
  ) throws(MachineSpecError) -> Int? {
    switch value(name) {
    case nil: return nil
    case .integer(let integer) where range.contains(Int(integer)): return Int(integer)
    case let number? where number.kind == JSONValue.number(0).kind:
      throw error(
        name, "\(number.text()) is not a number from \(range.lowerBound) to \(range.upperBound)")
    case let other?: throw error(name, "is \(other.kind) and should be a number")
    }
  }

  /// A text, read by `read`.
  mutating func value<R>(
    _ name: String, _ read: (String) throws(SpecValueError) -> R
  ) throws(MachineSpecError) -> R? {
    guard let text = try text(name) else { return nil }
    return try checked(name) { () throws(SpecValueError) in try read(text) }
  }

  /// A text, or a number of bytes, read by `read` as a text.
  mutating func size<R>(
    _ name: String, _ read: (String) throws(SpecValueError) -> R
  ) throws(MachineSpecError) -> R? {
    switch value(name) {
    case nil: return nil
    case .integer(let integer):
      return try checked(name) { () throws(SpecValueError) in try read("\(integer)") }
    case .text(let unchecked):
      let text = try text(.text(unchecked), name)
      return try checked(name) { () throws(SpecValueError) in try read(text) }
    case .number(let number) where number == number.rounded():
      throw error(
        name,
        "\(number) is too large; write a whole number of bytes, or a text with a unit such as"
          + " \"1536M\"")
    case .number(let number):
      throw error(
        name,
        "\(number) is not a whole number of bytes; write one, or a text with a unit such as"
          + " \"1536M\"")
    case let other?:
      throw error(
        name, "is \(other.kind) and should be a number of bytes, or a text such as \"4G\"")
    }
  }

  mutating func choice<Choice: SpecChoice>(
    _ name: String
  ) throws(MachineSpecError) -> Choice? {
    try value(name) { (text) throws(SpecValueError) in try Choice(parsing: text) }
  }

  /// An object, read by `read`, which is left nothing that it does not know.
  mutating func object<R>(
    _ name: String, _ read: (inout SpecObject) throws(MachineSpecError) -> R
  ) throws(MachineSpecError) -> R? {
    guard let value = value(name) else { return nil }
    return try Self.read(value, path: path(of: name), read)
  }

  /// A text or an object.
  mutating func textOrObject<R>(
    _ name: String, text readText: (String) throws(SpecValueError) -> R,
    object readObject: (inout SpecObject) throws(MachineSpecError) -> R
  ) throws(MachineSpecError) -> R? {
    if case .object = members.first(where: { $0.name == name })?.value {
      return try object(name, readObject)
    }
    return try value(name, readText)
  }

  /// A list of objects, each read by `read`.
  mutating func objects<R>(
    _ name: String, _ read: (inout SpecObject) throws(MachineSpecError) -> R
  ) throws(MachineSpecError) -> [R]? {
    guard let values = try list(name) else { return nil }
    var objects: [R] = []
    for (index, value) in values.enumerated() {
      objects.append(try Self.read(value, path: "\(path(of: name))[\(index)]", read))
    }
    return objects
  }

  mutating func texts(_ name: String) throws(MachineSpecError) -> [String]? {
    guard let values = try list(name) else { return nil }
    var texts: [String] = []
    for (index, value) in values.enumerated() {
      texts.append(try text(value, "\(name)[\(index)]"))
    }
    return texts
  }

  private mutating func list(_ name: String) throws(MachineSpecError) -> [JSONValue]? {
    switch value(name) {
    case nil: return nil
    case .array(let values): return values
    case let other?: throw error(name, "is \(other.kind) and should be a list")
    }
  }

  static func read<R>(
    _ value: JSONValue, path: String, _ read: (inout SpecObject) throws(MachineSpecError) -> R
  ) throws(MachineSpecError) -> R {
    var object = try SpecObject(value, path: path)
    let result = try read(&object)
    try object.finish()
    return result
  }

  /// - Throws: for a member that was not asked for: nothing is silently left out.
  private func finish() throws(MachineSpecError) {
    guard let stranger = members.first(where: { !known.contains($0.name) })?.name else { return }
    let nearest = NearestName.nearest(to: stranger, among: known)
    throw MachineSpecError(
      path: path,
      problem: "has no member \(QuotedText(stranger)); "
        + (nearest.map { "did you mean '\($0)'?" }
          ?? "members are " + known.joined(separator: ", ")))
  }
}
