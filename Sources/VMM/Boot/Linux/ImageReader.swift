internal import Bytes

/// Reads bounded parts of a kernel's file and checks fields in them.
struct ImageReader {
  /// What reading a part or checking a field can end with.
  enum Failure: Error {
    case image(LinuxImageError)
    /// Reading failed.
    case machine(MachineError)

    var machineError: MachineError {
      switch self {
      case .image(let error): .kernel(error)
      case .machine(let error): error
      }
    }
  }

  /// Some bytes of the file.
  struct Part {
    let bytes: [UInt8]
    /// Of the first byte in the file.
    let offset: UInt64
    let file: String

    /// The bytes from `place` on, counted from the part's start; the caller knows that they are
    /// there.
    func part(at place: UInt64, byteCount: UInt64) throws(Failure) -> Part {
      guard place <= bytes.count, byteCount <= UInt64(bytes.count) - place else {
        throw .image(
          .tooShort(
            file: file, byteCount: bytes.count, what: "the entry at \(place)",
            neededByteCount: place &+ byteCount))
      }
      return Part(
        bytes: Array(bytes[Int(place)..<Int(place + byteCount)]), offset: offset + place,
        file: file)
    }

    /// The field's value if `isGood` says so.
    @discardableResult
    func check(
      _ name: String, at place: Int, _ byteCount: Int, _ expected: String,
      _ isGood: (UInt64) -> Bool
    ) throws(Failure) -> UInt64 {
      guard let value = bytes.loadLE(at: place, byteCount: byteCount) else {
        throw .image(
          .tooShort(
            file: file, byteCount: bytes.count, what: name,
            neededByteCount: UInt64(place + byteCount)))
      }
      guard isGood(value) else {
        throw .image(
          .field(
            file: file, name: name, offset: offset + UInt64(place), value: value,
            expected: expected))
      }
      return value
    }
  }

  let file: BootFile

  init(_ file: BootFile) {
    self.file = file
  }

  /// Bytes of the file, all of which must be there. The caller bounds `byteCount`.
  func part(_ what: String, at offset: UInt64, byteCount: UInt64) throws(Failure) -> Part {
    try checkIsInFile(what, at: offset, byteCount: byteCount)
    guard byteCount > 0 else { return Part(bytes: [], offset: offset, file: file.name) }
    let bytes: [UInt8]
    do throws(MachineError) {
      bytes = try file.bytes(at: Int(offset), byteCount: Int(byteCount))
    } catch {
      throw .machine(error)
    }
    guard bytes.count == byteCount else { throw tooShort(what, offset + byteCount) }
    return Part(bytes: bytes, offset: offset, file: file.name)
  }

  /// Any offset and count are accepted; no bytes are in every file.
  func checkIsInFile(_ what: String, at offset: UInt64, byteCount: UInt64) throws(Failure) {
    let (end, overflow) = offset.addingReportingOverflow(byteCount)
    guard byteCount == 0 || (!overflow && end <= UInt64(file.byteCount)) else {
      throw tooShort(what, overflow ? .max : end)
    }
  }

  private func tooShort(_ what: String, _ end: UInt64) -> Failure {
    .image(
      .tooShort(
        file: file.name, byteCount: file.byteCount, what: what, neededByteCount: end))
  }
}
