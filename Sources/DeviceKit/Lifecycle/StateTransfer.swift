public import Bytes

/// State on its way into a saved machine, or out of one.
///
/// One function for both ways names each value once, so that what is saved and what is restored
/// cannot differ:
///
/// ```swift
/// mutating func transfer(_ transfer: inout StateTransfer) throws(StateError) {
///   try transfer.integer(&address)
///   try transfer.integer(&index, in: 0...7)
///   try transfer.flag(&isEnabled)
/// }
/// ```
///
/// While restoring, the bytes may be anybody's: what does not fit is an error, never a trap. A
/// value that selects something is checked by its range here, or by `check`.
public struct StateTransfer: Sendable {
  /// Whether values are set; if not, they are only read.
  public let isRestoring: Bool
  /// What was saved, or is being restored.
  public private(set) var bytes: [UInt8]
  private var position = 0

  /// Saves.
  public init() {
    isRestoring = false
    bytes = []
  }

  /// Restores what was saved.
  public init(restoring bytes: [UInt8]) {
    isRestoring = true
    self.bytes = bytes
  }

  /// A number.
  public mutating func integer<T: LittleEndianInteger>(_ value: inout T) throws(StateError) {
    guard isRestoring else {
      bytes += value.littleEndianBytes
      return
    }
    let size = MemoryLayout<T>.size
    guard size <= bytes.count - position else { throw .truncated }
    value = bytes.loadLE(at: position)
    position += size
  }

  /// A number of which not all values are possible.
  public mutating func integer<T: LittleEndianInteger>(
    _ value: inout T, in range: ClosedRange<T>
  ) throws(StateError) {
    var new = value
    try integer(&new)
    try check(new, in: range)
    value = new
  }

  /// An index or a count.
  public mutating func integer(
    _ value: inout Int, in range: ClosedRange<Int>
  ) throws(StateError) {
    var raw = UInt64(bitPattern: Int64(value))
    try integer(&raw)
    let new = Int(Int64(bitPattern: raw))
    try check(new, in: range)
    value = new
  }

  private func check<T>(_ value: T, in range: ClosedRange<T>) throws(StateError) {
    try check(
      range.contains(value),
      "\(value) where \(range.lowerBound) to \(range.upperBound) is possible")
  }

  /// A number that there may not be.
  public mutating func integer<T: LittleEndianInteger>(_ value: inout T?) throws(StateError) {
    try integer(&value, in: T.min...T.max)
  }

  /// A number that there may not be, and of which not all values are possible.
  public mutating func integer<T: LittleEndianInteger>(
    _ value: inout T?, in range: ClosedRange<T>
  ) throws(StateError) {
    try optional(&value, new: range.lowerBound) { (transfer, value) throws(StateError) in
      try transfer.integer(&value, in: range)
    }
  }

  /// Numbers of which there are always as many.
  public mutating func integers<T: LittleEndianInteger>(_ values: inout [T]) throws(StateError) {
    try elements(&values) { (transfer, value) throws(StateError) in
      try transfer.integer(&value)
    }
  }

  /// Numbers of any number up to a limit.
  public mutating func integers<T: LittleEndianInteger>(
    _ values: inout [T], maximumCount: Int
  ) throws(StateError) {
    try elements(&values, maximumCount: maximumCount, new: 0) {
      (transfer, value) throws(StateError) in
      try transfer.integer(&value)
    }
  }

  /// Yes or no, always as often.
  public mutating func flags(_ values: inout [Bool]) throws(StateError) {
    try elements(&values) { (transfer, value) throws(StateError) in
      try transfer.flag(&value)
    }
  }

  /// Yes or no.
  public mutating func flag(_ value: inout Bool) throws(StateError) {
    var raw: UInt8 = value ? 1 : 0
    try integer(&raw, in: 0...1)
    value = raw == 1
  }

  /// A case of an enumeration, or a set of options.
  public mutating func value<T: RawRepresentable>(_ value: inout T) throws(StateError)
  where T.RawValue: LittleEndianInteger {
    var raw = value.rawValue
    try integer(&raw)
    guard isRestoring else { return }
    guard let new = T(rawValue: raw) else { throw .invalid("no \(T.self) has the value \(raw)") }
    value = new
  }

  /// Bytes of any number up to a limit.
  public mutating func bytes(
    _ value: inout [UInt8], maximumCount: Int
  ) throws(StateError) {
    var count = value.count
    try integer(&count, in: 0...maximumCount)
    guard isRestoring else {
      bytes += value
      return
    }
    guard count <= bytes.count - position else { throw .truncated }
    value = Array(bytes[position..<position + count])
    position += count
  }

  /// Bytes of which there are always as many.
  public mutating func bytes(_ value: inout [UInt8]) throws(StateError) {
    var new = value
    try bytes(&new, maximumCount: value.count)
    guard new.count == value.count else {
      throw .invalid("\(new.count) bytes in place of \(value.count)")
    }
    value = new
  }

  /// Elements of which there are always as many.
  public mutating func elements<T>(
    _ value: inout [T], _ body: (inout StateTransfer, inout T) throws(StateError) -> Void
  ) throws(StateError) {
    var count = value.count
    try integer(&count, in: count...count)
    for index in value.indices { try body(&self, &value[index]) }
  }

  /// Elements of any number up to a limit.
  ///
  /// - Parameter new: what an element is before it is restored.
  public mutating func elements<T>(
    _ value: inout [T], maximumCount: Int, new: @autoclosure () -> T,
    _ body: (inout StateTransfer, inout T) throws(StateError) -> Void
  ) throws(StateError) {
    var count = value.count
    try integer(&count, in: 0...maximumCount)
    if isRestoring {
      value = []
      for _ in 0..<count {
        var element = new()
        try body(&self, &element)
        value.append(element)
      }
    } else {
      for index in value.indices { try body(&self, &value[index]) }
    }
  }

  /// A value that there may not be.
  ///
  /// - Parameter new: what it is before it is restored.
  public mutating func optional<T>(
    _ value: inout T?, new: @autoclosure () -> T,
    _ body: (inout StateTransfer, inout T) throws(StateError) -> Void
  ) throws(StateError) {
    var isThere = value != nil
    try flag(&isThere)
    guard isThere else {
      value = nil
      return
    }
    var element = value ?? new()
    try body(&self, &element)
    value = element
  }

  /// What the machine was made with, and has to be made with again.
  ///
  /// - Throws: `.invalid` while restoring, if the saved value is another.
  public mutating func constant<T: LittleEndianInteger>(
    _ value: T, _ name: String
  ) throws(StateError) {
    var saved = value
    try integer(&saved)
    guard saved == value else { throw .invalid("\(name) \(saved) in place of \(value)") }
  }

  /// While restoring, that what was restored is possible.
  public func check(_ isPossible: Bool, _ what: @autoclosure () -> String) throws(StateError) {
    guard !isRestoring || isPossible else { throw .invalid(what()) }
  }

  /// All is restored: that nothing is left over.
  public func finish() throws(StateError) {
    guard !isRestoring || position == bytes.count else {
      throw .invalid("\(bytes.count - position) bytes too many")
    }
  }
}

/// Why a state cannot be saved or restored.
public enum StateError: Error, Hashable, Sendable, CustomStringConvertible {
  /// This device has no way to be saved.
  case unsupported(String)
  /// It cannot be saved now; what to do about it.
  case busy(String)
  /// The saved bytes end too early.
  case truncated
  /// The saved bytes say what is not possible.
  case invalid(String)

  /// One line, without the name of what was to be saved or restored.
  public var description: String {
    switch self {
    case .unsupported(let what): "\(what) cannot be saved"
    case .busy(let what): what
    case .truncated: "its saved state is cut short"
    case .invalid(let what): "its saved state is damaged: \(what)"
    }
  }
}
