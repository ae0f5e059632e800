package import MachineSpecification

extension ControlSchema {
  /// What is wrong with a value; nothing if it is as described. As much of JSON Schema as the
  /// schemas here use, for tests and for clients that want to be sure.
  package func problems(of value: JSONValue) -> [String] {
    SchemaCheck.problems(of: value, with: self.value, at: rawValue)
  }
}

private enum SchemaCheck {
  static func problems(
    of value: JSONValue, with schema: JSONValue, at place: String
  ) -> [String] {
    var problems: [String] = []
    let kinds = member("type", of: schema).map(texts) ?? []
    guard kinds.contains(where: { isOfType($0, value) }) else {
      return ["\(place): \(value.kind) is none of \(kinds)"]
    }
    if let choices = member("enum", of: schema), case .text(let text) = value,
      !texts(choices).contains(text)
    {
      problems.append("\(place): \(text) is no choice")
    }
    switch value {
    case .integer(let number):
      if case .integer(let minimum)? = member("minimum", of: schema), number < minimum {
        problems.append("\(place): \(number) is too small")
      }
    case .array(let values):
      guard let items = member("items", of: schema) else { break }
      problems += values.flatMap { Self.problems(of: $0, with: items, at: place + "[]") }
    case .object(let members):
      problems += Self.problems(of: members, with: schema, at: place)
    default: break
    }
    return problems
  }

  private static func problems(
    of members: [JSONValue.Member], with schema: JSONValue, at place: String
  ) -> [String] {
    var problems: [String] = []
    for name in member("required", of: schema).map(texts) ?? []
    where !members.contains(where: { $0.name == name }) {
      problems.append("\(place): \(name) is missing")
    }
    let known = member("properties", of: schema) ?? .object([])
    for item in members {
      if let inner = member(item.name, of: known) ?? additional(schema) {
        problems += Self.problems(of: item.value, with: inner, at: "\(place).\(item.name)")
      } else if member("additionalProperties", of: schema) == .flag(false) {
        problems.append("\(place): \(item.name) is not described")
      }
    }
    return problems
  }

  private static func additional(_ schema: JSONValue) -> JSONValue? {
    guard let value = member("additionalProperties", of: schema), case .object = value else {
      return nil
    }
    return value
  }

  private static func member(_ name: String, of value: JSONValue) -> JSONValue? {
    value[name]
  }

  private static func texts(_ value: JSONValue) -> [String] {
    switch value {
    case .text(let text): [text]
    case .array(let values): values.flatMap(texts)
    default: []
    }
  }

  private static func isOfType(_ kind: String, _ value: JSONValue) -> Bool {
    switch (kind, value) {
    case ("object", .object), ("array", .array), ("string", .text), ("integer", .integer),
      ("number", .integer), ("number", .number), ("boolean", .flag), ("null", .null):
      true
    default: false
    }
  }
}

extension JSONValue {
  /// The first member of an object with this name.
  package subscript(_ name: String) -> JSONValue? {
    guard case .object(let members) = self else { return nil }
    return members.first { $0.name == name }?.value
  }
}
