internal import MachineSpecification

/// `--net`: a far end, and what follows it after commas.
extension NetworkSpec {
  /// The word for no card.
  static let none = "none"
  private static let userWord = "user"
  private static let passtKey = "passt"
  private static let tapKey = "tap"
  private static let socketKey = "socket"
  private static let forwardKey = "hostfwd"
  private static let addressKey = "mac"

  /// `user[,hostfwd=tcp:[ADDRESS]:PORT-:PORT]...`, `passt=PATH`, `tap=NAME` or `socket=FD`, each
  /// with `,mac=ADDRESS`. Two commas stand for one in a path.
  init(option text: String) throws(UsageError) {
    let words = CommaList.split(text)
    do throws(SpecValueError) {
      self.init(try Self.farEnd(words.first ?? ""))
      for word in words.dropFirst() { try take(word) }
    } catch {
      throw .invalidValue(option: OptionDefinition.net.name, error)
    }
  }

  private static func farEnd(_ word: String) throws(SpecValueError) -> FarEnd {
    let (key, value) = CommaList.pair(word)
    switch (key, value) {
    case (userWord, nil): return .user([])
    case (passtKey, let path?) where !path.isEmpty: return .passt(path: path)
    case (tapKey, let name?): return .tap(try InterfaceName(name, part: "\(tapKey)="))
    case (socketKey, let text?):
      guard let descriptor = Int32(text), descriptor > 2 else {
        throw SpecValueError(
          "\(QuotedText(text)) is no number of an open descriptor behind standard error",
          part: "\(socketKey)=")
      }
      return .socket(descriptor: descriptor)
    default:
      throw .unknown(
        word, choices: [userWord, "\(passtKey)=PATH", "\(tapKey)=NAME", "\(socketKey)=FD", none],
        nearest: nil,
        part: "")
    }
  }

  private mutating func take(_ word: String) throws(SpecValueError) {
    let (key, value) = CommaList.pair(word)
    switch (key, value, farEnd) {
    case (Self.forwardKey, let text?, .user(let forwards)):
      let forward = try PortForward(parsing: text, part: "\(Self.userWord),\(Self.forwardKey)=")
      farEnd = .user(forwards + [forward])
    case (Self.addressKey, let text?, _):
      guard address == nil else { throw .repeated("\(Self.addressKey)=", part: "") }
      address = try MACAddress(parsing: text, part: "\(Self.addressKey)=")
    default:
      let isUser = if case .user = farEnd { true } else { false }
      throw .unknown(
        word,
        choices: (isUser ? ["\(Self.forwardKey)=tcp:127.0.0.1:PORT-:PORT"] : [])
          + ["\(Self.addressKey)=ADDRESS"], nearest: nil, part: "")
    }
  }
}
