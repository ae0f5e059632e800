internal import Bytes
internal import DeviceKit
internal import HostSystem

@testable internal import Devices

/// A driver of a TPM's command response buffer that begins well and then does what the input says,
/// with an emulator that answers whatever it likes.
///
/// The interface has no thread: the harness serves it, every time in the same way.
final class TPMTarget: FuzzTarget {
  static let name = "tpm"
  static let maximumInputByteCount = 1024
  /// The harness answers on the thread that writes registers.
  static let role = ThreadRole.tpm

  private typealias Offset = TPMRegisters.Offset

  /// Answers with what comes next in the input.
  private final class Emulator: TPMBackend, @unchecked Sendable {
    // Sendable: one thread runs all inputs.
    var response: [UInt8]?
    var commandCount = 0

    func begin() {}
    func restart() {}
    func end() {}
    func setCancels(_ cancels: Bool) {}

    func answer(_ command: [UInt8]) -> [UInt8]? {
      commandCount += 1
      require(
        (TPMMessage.headerByteCount...TPMRegisters.bufferByteCount).contains(command.count)
          && TPMMessage.byteCount(of: command) == UInt32(command.count),
        "a command of \(command.count) bytes")
      return response
    }
  }

  private var emulator = Emulator()
  private var tpm: TPMInterface
  private let presence = PhysicalPresenceMemory()

  init() {
    tpm = TPMInterface(emulator)
  }

  func run(_ input: FuzzInput) {
    emulator = Emulator()
    tpm = TPMInterface(emulator)
    if !input.isEmpty, input.bool {
      write(Offset.localityControl, 1)
      write(Offset.request, 1)
    }
    var stepCount = 0
    while !input.isEmpty, stepCount < 256 {
      step(input)
      stepCount += 1
    }
    serve()
  }

  private func step(_ input: FuzzInput) {
    let width = 1 << input.index(below: 4)
    switch input.byte & 15 {
    case 0, 1, 2: putCommand(input)
    case 3, 4:
      setResponse(input)
      serve()
    case 5: write(Offset.localityControl, UInt64(input.byte & 3))
    case 6: write(Offset.request, UInt64(input.byte & 3))
    case 7: write(Offset.cancel, UInt64(input.byte & 1))
    case 8: write(Offset.start, 1)
    case 9:
      tpm.write(offset: UInt64(input.uint16 & 0x5FFF), width: width, value: input.anyMagnitude)
    case 10: tpm.write(offset: input.anyMagnitude, width: width, value: input.uint64)
    case 11:
      tpm.write(offset: Offset.cancel - 4 + UInt64(input.byte & 15), width: 8, value: input.uint64)
    case 12:
      presence.write(
        offset: UInt64(input.uint16 & 0x7FF), width: width, value: input.anyMagnitude)
    case 13: _ = presence.read(offset: input.anyMagnitude, width: width)
    default: _ = tpm.read(offset: input.anyMagnitude, width: width)
    }
    let status = tpm.read(offset: Offset.status, width: 4)
    let isBusy = tpm.read(offset: Offset.start, width: 4)
    require(isBusy <= 1 && status & ~2 == 0, "start \(isBusy), status \(status)")
    require(isBusy == 0 || status == 0, "idle, and answering")
  }

  /// A header with a length near the borders, bytes behind it, and often the start.
  private func putCommand(_ input: FuzzInput) {
    let lengths: [UInt32] = [
      0, 9, 10, 11, 12, 64, UInt32(TPMRegisters.bufferByteCount),
      UInt32(TPMRegisters.bufferByteCount) + 1, UInt32.max,
    ]
    let bytes = [0x80, 1] + input.pick(lengths).bigEndianBytes + input.bytes(8)
    for (index, byte) in bytes.enumerated() {
      tpm.write(offset: Offset.buffer + UInt64(index), width: 1, value: UInt64(byte))
    }
    if input.bool { write(Offset.start, 1) }
  }

  private func setResponse(_ input: FuzzInput) {
    switch input.byte & 3 {
    case 0: emulator.response = nil
    case 1: emulator.response = input.bytes(16)
    case 2:
      let count = Int(input.uint16 & 0x1FFF)
      emulator.response =
        [0x80, 1] + UInt32(count).bigEndianBytes + [UInt8](repeating: 0x5A, count: count)
    default:
      let count = 10 + Int(input.uint16 & 0xFFF)
      emulator.response =
        [0x80, 1] + UInt32(count).bigEndianBytes + [UInt8](repeating: 0xA5, count: count - 6)
    }
  }

  private func serve() {
    let isBusy = tpm.read(offset: Offset.start, width: 4) == 1
    let before = emulator.commandCount
    tpm.serve()
    require(emulator.commandCount == before + (isBusy ? 1 : 0), "answered what was not asked")
    require(tpm.read(offset: Offset.start, width: 4) == 0, "busy after the answer")
    if isBusy {
      let length = tpm.read(offset: Offset.buffer + 2, width: 4)
      require(
        UInt32(truncatingIfNeeded: length).byteSwapped <= UInt32(TPMRegisters.bufferByteCount),
        "a response that is longer than the buffer")
    }
  }

  private func write(_ offset: UInt64, _ value: UInt64) {
    tpm.write(offset: offset, width: 4, value: value)
  }
}
