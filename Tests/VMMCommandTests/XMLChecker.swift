/// Checks that a document is well formed as far as ours can go wrong: elements nest, attributes are
/// quoted and unique, text holds no bare markup or control characters.
enum XMLChecker {
  struct Malformed: Error {
    let what: String
  }

  static func check(_ document: String) throws {
    var open: [Substring] = []
    var rest = document[...]
    var roots = 0
    while let start = rest.firstIndex(of: "<") {
      try checkText(rest[..<start], isOutside: open.isEmpty)
      guard let end = rest[start...].firstIndex(of: ">") else {
        throw Malformed(what: "a tag without an end")
      }
      let tag = rest[rest.index(after: start)..<end]
      rest = rest[rest.index(after: end)...]
      if tag.hasPrefix("?") { continue }
      if tag.hasPrefix("/") {
        guard open.popLast() == tag.dropFirst() else {
          throw Malformed(what: "unexpected <\(tag)>")
        }
        continue
      }
      let isEmpty = tag.hasSuffix("/")
      let body = isEmpty ? tag.dropLast() : tag
      let name = body.prefix { $0 != " " }
      try checkAttributes(body.dropFirst(name.count), of: name)
      if open.isEmpty { roots += 1 }
      if !isEmpty { open.append(name) }
    }
    try checkText(rest, isOutside: true)
    guard open.isEmpty, roots == 1 else {
      throw Malformed(what: "unclosed \(open), \(roots) roots")
    }
  }

  private static func checkText(_ text: Substring, isOutside: Bool) throws {
    if isOutside, text.contains(where: { !$0.isWhitespace }) {
      throw Malformed(what: "text outside of the document: \(text)")
    }
    for scalar in text.unicodeScalars where scalar.value < 32 && scalar != "\n" {
      throw Malformed(what: "control character \(scalar.value)")
    }
    for part in text.split(separator: "&", omittingEmptySubsequences: false).dropFirst() {
      guard ["lt;", "gt;", "amp;", "quot;"].contains(where: part.hasPrefix) else {
        throw Malformed(what: "bare & in \(text)")
      }
    }
  }

  private static func checkAttributes(_ text: Substring, of element: Substring) throws {
    let pieces = text.split(separator: "\"", omittingEmptySubsequences: false)
    guard pieces.count % 2 == 1 else { throw Malformed(what: "unbalanced quotes in \(element)") }
    var names: Set<Substring> = []
    for index in stride(from: 0, to: pieces.count - 1, by: 2) {
      let name = pieces[index]
      guard name.hasPrefix(" "), name.hasSuffix("="), names.insert(name).inserted else {
        throw Malformed(what: "attribute \(name) of \(element)")
      }
      try checkText(pieces[index + 1], isOutside: false)
    }
    guard pieces.last!.allSatisfy(\.isWhitespace) else {
      throw Malformed(what: "\(pieces.last!) after the attributes of \(element)")
    }
  }
}
