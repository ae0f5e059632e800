internal import Bytes
internal import CLinux
public import DeviceKit
internal import Glibc
public import HostSystem

/// A TPM 2.0 emulated by another process: swtpm, over its control socket and a data socket.
///
/// The process is not trusted: it may stall, end, and answer anything. After the first such fault
/// the TPM is gone, and every command fails, until the program starts again; nothing waits for
/// longer than `patienceSeconds`. Safe from any thread, as `TPMBackend` says.
///
/// Source: swtpm's include/swtpm/tpm_ioctl.h and man/man3/swtpm_ioctls; measured with swtpm 0.7.1.
public final class TPMEmulator: TPMBackend {
  /// Longer than operating systems wait for the slowest command, the making of a key: Linux waits
  /// for five minutes.
  package static let usualPatienceSeconds = 330

  /// Commands of the control socket, big-endian (*CMD_...*). A reply begins with a result of 32
  /// bits, 0 for success, except that of the first one.
  private enum Control {
    static let capabilities: UInt32 = 0x01
    static let initialize: UInt32 = 0x02
    static let shutDown: UInt32 = 0x03
    static let cancelCommand: UInt32 = 0x09
    static let getState: UInt32 = 0x0C
    static let setState: UInt32 = 0x0D
    static let stop: UInt32 = 0x0E
    static let setDataDescriptor: UInt32 = 0x10
    static let setBufferByteCount: UInt32 = 0x11

    /// The protocol's name, for messages.
    static func name(_ code: UInt32) -> String {
      switch code {
      case initialize: "INIT"
      case stop: "STOP"
      case setDataDescriptor: "SET_DATAFD"
      case setBufferByteCount: "SET_BUFFERSIZE"
      case getState: "GET_STATEBLOB"
      case setState: "SET_STATEBLOB"
      default: "0x" + String(code, radix: 16)
      }
    }
  }

  /// *PTM_CAP_INIT*, *SHUTDOWN*, *CANCEL_TPM_CMD*, *STOP*, *SET_DATAFD*, *SET_BUFFERSIZE*.
  private static let neededCapabilities: UInt64 = 0x1 | 0x2 | 0x20 | 0x400 | 0x1000 | 0x2000
  /// *PTM_CAP_GET_STATEBLOB*, *SET_STATEBLOB*: only those that are saved and restored need them.
  private static let stateCapabilities: UInt64 = 0x100 | 0x200
  /// *PTM_INIT_FLAG_DELETE_VOLATILE*: a power-on, and not the end of a suspension.
  private static let powerOn: UInt32 = 1
  /// *PTM_BLOB_TYPE_PERMANENT*, *_VOLATILE*, *_SAVESTATE*.
  private static let stateKinds: ClosedRange<UInt32> = 1...3
  /// *TPM_RETRY*, which the emulator says of a part that there is not.
  private static let retry: UInt32 = 0x800
  /// *TPM_FAIL*, which the emulator says of INIT while another process has its state's files.
  private static let fail: UInt64 = 9
  /// How long a process that was told to end may have them still.
  private static let endingNanoseconds: UInt64 = 5_000_000_000
  /// Of each; more than libtpms keeps.
  private static let maximumStateByteCount = 1 << 20

  private enum Power {
    /// It waits for its state, or its first power-on.
    case off
    /// Since its power-on nothing was asked.
    case fresh
    /// It is what it was between two commands; the power-on of the machine that goes on is none.
    case restored
    case used
  }

  private struct State {
    var power = Power.off
    /// A command was sent, and this is what has been read of its response; nil for none.
    var response: [UInt8]?
    /// Of replies on the control socket that were not read.
    var owedControlByteCount = 0
    var isGone = false
    var capabilities: UInt64 = 0
  }

  /// A part of the TPM's state.
  private struct StatePart {
    /// *state_flags*, as the emulator gave them: whether it is encrypted.
    var flags: UInt32 = 0
    var bytes: [UInt8] = []
  }

  /// Why an exchange did not come to its end.
  private enum Interruption: Error {
    /// `end` was called.
    case ended
    case failed(String)
    /// The emulator answered a control command with this error.
    case refused(UInt32, UInt64)

    /// What the emulator does; nil if it is no fault of its own.
    var fault: String? {
      switch self {
      case .ended: nil
      case .failed(let text): text
      case .refused(let code, let result):
        "answers \(Control.name(code)) with the error 0x\(String(result, radix: 16))"
      }
    }
  }

  private let control: FileDescriptor
  private let data: FileDescriptor
  private let name: String
  private let patience = Guarded(UInt64(0))
  private let onFailure: @Sendable (String) -> Void
  private let ending: Event
  private let cancelling: Event
  /// Whether the guest wants its command cancelled; `cancelling` is raised and cleared under it.
  private let cancels = Guarded(false)
  /// Held by the thread that asks, while it waits.
  private let state = Guarded(State())

  /// Sets up an emulator that nothing else has set up: its data socket, its buffer, power-on.
  ///
  /// - Parameters:
  ///   - control: connected to the control socket.
  ///   - name: of the emulator, for messages, as in "swtpm".
  ///   - waits: it is not powered on: its state comes by `transferState`, and another process has
  ///     its files until then.
  ///   - onFailure: gets one line when the emulator is gone, once, on the TPM's thread.
  package init(
    control: consuming FileDescriptor, name: String, waits: Bool = false,
    patienceSeconds: Int = usualPatienceSeconds,
    onFailure: @escaping @Sendable (String) -> Void
  ) throws(TPMEmulatorError) {
    let ends: (Int32, Int32)
    do throws(Errno) {
      ends = try UnixSocket.pair()
    } catch {
      throw .system("make a socket for \(name)", error)
    }
    data = FileDescriptor(taking: ends.0)
    let peer = FileDescriptor(taking: ends.1)
    self.control = control
    self.name = name
    self.onFailure = onFailure
    do throws(Errno) {
      ending = try Event()
      cancelling = try Event()
    } catch {
      throw .system("make an event for \(name)", error)
    }
    setPatience(seconds: patienceSeconds)
    do throws(Interruption) {
      try state.withLock { [self] (state) throws(Interruption) in
        try setUp(handing: peer, waits: waits, &state)
      }
    } catch {
      guard let fault = error.fault else {
        preconditionFailure("an emulator that was ended before it began")
      }
      throw .emulator(name, fault)
    }
  }

  /// How long the emulator has for each answer from now on.
  package func setPatience(seconds: Int) {
    patience.withLock { $0 = UInt64(seconds) * 1_000_000_000 }
  }

  private var deadline: UInt64 {
    HostClock.monotonicNanoseconds() + patience.withLock { $0 }
  }

  /// Whether it has no state yet.
  var isWaiting: Bool { state.withLock { $0.power == .off } }

  // MARK: TPMBackend

  public func begin() {
    ending.clear()
  }

  public func end() {
    ending.raise()
  }

  public func setCancels(_ cancels: Bool) {
    self.cancels.withLock { [cancelling] value in
      value = cancels
      if cancels { cancelling.raise() }
    }
  }

  public func restart() {
    state.withLock { [self] state in
      guard !state.isGone else { return }
      switch state.power {
      case .fresh: break
      case .restored: state.power = .used
      case .off, .used:
        attempt(&state) { (state) throws(Interruption) in
          if state.response != nil { _ = try readResponse(&state) }
          try powerOn(&state)
        }
      }
    }
  }

  public func answer(_ command: [UInt8]) -> [UInt8]? {
    cancels.withLock { [cancelling] value in
      if !value { cancelling.clear() }
    }
    return state.withLock { [self] state in
      guard !state.isGone else { return nil }
      var response: [UInt8]?
      attempt(&state) { (state) throws(Interruption) in
        guard unreadByteCount(data) == 0 else { throw .failed("answered what it was not asked") }
        state.power = .used
        try send(command, to: data)
        state.response = []
        response = try readResponse(&state)
        takeLateReplies(&state)
      }
      return response
    }
  }

  /// Has the emulator end itself, after it has stored what it keeps, and waits for that, for ten
  /// seconds at most. For the end of a run, when no thread asks any more.
  ///
  /// - Returns: whether it has closed its socket: the process is about to end by itself.
  @discardableResult
  public func shutDown() -> Bool {
    ending.clear()
    return state.withLock { [self] state in
      guard !state.isGone else { return false }
      state.isGone = true
      let deadline = HostClock.monotonicNanoseconds() + 10_000_000_000
      guard (try? send(Control.shutDown.bigEndianBytes, to: control)) != nil else {
        return false
      }
      // It closes the socket at its end.
      while (try? receive(64, from: control, deadline)) != nil {}
      return HostClock.monotonicNanoseconds() < deadline
    }
  }

  /// Runs `body`; marks the emulator as gone if it fails.
  ///
  /// - Returns: how it failed.
  @discardableResult
  private func attempt(
    _ state: inout State, _ body: (inout State) throws(Interruption) -> Void
  ) -> String? {
    do throws(Interruption) {
      try body(&state)
      return nil
    } catch {
      guard let fault = error.fault else { return nil }
      state.isGone = true
      onFailure("the TPM emulator \(name) \(fault); the guest's TPM fails from now on")
      return fault
    }
  }

  // MARK: Control

  private func setUp(
    handing peer: borrowing FileDescriptor, waits: Bool, _ state: inout State
  ) throws(Interruption) {
    let reply = try ask(Control.capabilities, replyByteCount: 8, hasResult: false, &state)
    let capabilities = reply.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    state.capabilities = capabilities
    guard capabilities & Self.neededCapabilities == Self.neededCapabilities else {
      throw .failed("lacks what a TPM needs: its capabilities are \(hexadecimal(capabilities))")
    }
    _ = try ask(
      Control.setDataDescriptor, replyByteCount: 4, descriptor: peer.rawValue, &state)
    guard !waits else { return }
    try powerOn(&state, isRunning: false)
    // *TPM2_GetCapability*, which a TPM 2.0 refuses in its own form before *TPM2_Startup*.
    try send([0x80, 1, 0, 0, 0, 22, 0, 0, 1, 0x7A] + [UInt8](repeating: 0, count: 12), to: data)
    state.response = []
    let response = try readResponse(&state)
    guard response.starts(with: TPMMessage.noSessions.bigEndianBytes) else {
      throw .failed("emulates a TPM 1.2; start it with --tpm2")
    }
  }

  private func powerOn(_ state: inout State, isRunning: Bool = true) throws(Interruption) {
    if isRunning { _ = try ask(Control.stop, replyByteCount: 4, &state) }
    try initialize(flags: Self.powerOn, &state)
  }

  private func initialize(flags: UInt32, _ state: inout State) throws(Interruption) {
    let size = try ask(
      Control.setBufferByteCount, UInt32(TPMRegisters.bufferByteCount).bigEndianBytes,
      replyByteCount: 16, &state)
    // After the result: the size that it has now, the least and the most.
    let byteCount = Int(size.loadBE(at: 4, as: UInt32.self))
    guard byteCount == TPMRegisters.bufferByteCount else {
      throw .failed(
        "has a buffer of \(byteCount) bytes and not of \(TPMRegisters.bufferByteCount)")
    }
    _ = try ask(Control.initialize, flags.bigEndianBytes, replyByteCount: 4, &state)
    state.power = flags == Self.powerOn ? .fresh : .restored
  }

  /// Sends a command and reads its reply.
  ///
  /// - Parameter hasResult: whether the reply begins with one, behind which nothing follows if it
  ///   is no success.
  private func ask(
    _ code: UInt32, _ body: [UInt8] = [], replyByteCount: Int, hasResult: Bool = true,
    descriptor: Int32? = nil, _ state: inout State
  ) throws(Interruption) -> [UInt8] {
    let deadline = deadline
    while state.owedControlByteCount > 0 {
      state.owedControlByteCount -= try receive(
        state.owedControlByteCount, from: control, deadline
      ).count
    }
    let message = code.bigEndianBytes + body
    if let descriptor {
      try send(message, with: descriptor)
    } else {
      try send(message, to: control)
    }
    state.owedControlByteCount = replyByteCount
    var reply: [UInt8] = []
    while reply.count < replyByteCount {
      let isResultMissing = hasResult && reply.count < 4
      let part = try receive(
        (isResultMissing ? 4 : replyByteCount) - reply.count, from: control, deadline)
      state.owedControlByteCount -= part.count
      reply += part
      if hasResult, reply.count == 4, let result = nonzero(reply) {
        throw .refused(code, result)
      }
    }
    return reply
  }

  private func nonzero(_ bytes: [UInt8]) -> UInt64? {
    let value = bytes.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    return value == 0 ? nil : value
  }

  private func hexadecimal(_ value: some BinaryInteger) -> String {
    "0x" + String(value, radix: 16)
  }

  /// Asks to cancel what is being answered. The reply comes when the emulator looks at its control
  /// socket again.
  private func sendCancel(_ state: inout State) throws(Interruption) {
    try send(Control.cancelCommand.bigEndianBytes, to: control)
    state.owedControlByteCount += 4
  }

  /// Reads replies to cancellations, as far as they have come; else they would fill the socket.
  private func takeLateReplies(_ state: inout State) {
    while state.owedControlByteCount > 0,
      let part = try? receiveNow(min(state.owedControlByteCount, 64), from: control),
      !part.isEmpty
    {
      state.owedControlByteCount -= part.count
    }
  }

  // MARK: Data

  /// Reads the response to what was sent; `cancelling` is looked at meanwhile.
  private func readResponse(_ state: inout State) throws(Interruption) -> [UInt8] {
    let deadline = deadline
    var isCancelled = false
    while true {
      let bytes = state.response ?? []
      let missing = try missingByteCount(bytes)
      if missing == 0 {
        state.response = nil
        return bytes
      }
      if !isCancelled, try waitForData(deadline) == .cancelling {
        isCancelled = true
        if cancels.withLock({ $0 }) { try sendCancel(&state) }
        continue
      }
      state.response = bytes + (try receive(missing, from: data, deadline))
    }
  }

  private func missingByteCount(_ response: [UInt8]) throws(Interruption) -> Int {
    guard let count = TPMMessage.byteCount(of: response) else {
      return TPMMessage.headerByteCount - response.count
    }
    guard count >= TPMMessage.headerByteCount, count <= TPMRegisters.bufferByteCount else {
      throw .failed("answers with \(count) bytes")
    }
    return Int(count) - response.count
  }

  private enum Wake {
    case readable, cancelling
  }

  private func waitForData(_ deadline: UInt64) throws(Interruption) -> Wake {
    let ready = try wait(
      [(data.rawValue, POLLIN), (cancelling.descriptor, POLLIN)], deadline)
    // A response that is there needs no cancellation.
    return ready[0] ? .readable : .cancelling
  }

  // MARK: Sockets

  /// Sends all of it.
  private func send(
    _ bytes: [UInt8], to file: borrowing FileDescriptor
  ) throws(Interruption) {
    let deadline = deadline
    var rest = bytes[...]
    while !rest.isEmpty {
      let socket = file.rawValue
      // SAFETY: the bytes live for the call, which is given their true length.
      let count = unsafe rest.withUnsafeBytes {
        unsafe Glibc.send(socket, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT | MSG_NOSIGNAL))
      }
      let error = Errno.current
      if count >= 0 {
        rest = rest.dropFirst(count)
      } else if error == Errno(EAGAIN) {
        do throws(Interruption) {
          _ = try wait([(socket, POLLOUT)], deadline)
        } catch {
          // The rest cannot follow later.
          throw rest.count == bytes.count ? error : .failed("takes no commands")
        }
      } else if error != Errno(EINTR) {
        throw .failed("is gone: \(error)")
      }
    }
  }

  private func send(_ bytes: [UInt8], with descriptor: Int32) throws(Interruption) {
    while true {
      // SAFETY: the bytes live for the call, which is given their true length.
      let count = unsafe bytes.withUnsafeBytes { buffer in
        guard let start = buffer.baseAddress else { return 0 }
        return unsafe clinux_send_descriptor(
          control.rawValue, start, UInt(buffer.count), descriptor)
      }
      let error = Errno.current
      if count == bytes.count { return }
      guard count < 0, error == Errno(EINTR) else {
        throw .failed(count < 0 ? "is gone: \(error)" : "takes no messages")
      }
    }
  }

  /// At least one byte, at most `byteCount`.
  private func receive(
    _ byteCount: Int, from file: borrowing FileDescriptor, _ deadline: UInt64
  ) throws(Interruption) -> [UInt8] {
    while true {
      do throws(Errno) {
        let bytes = try receiveNow(byteCount, from: file)
        guard bytes.isEmpty else { return bytes }
      } catch {
        switch error {
        case Errno(EAGAIN): _ = try wait([(file.rawValue, POLLIN)], deadline)
        case Errno(EINTR): break
        default: throw .failed("is gone: \(error)")
        }
        continue
      }
      throw .failed("has ended")
    }
  }

  /// Nothing at the end of the stream.
  ///
  /// - Throws: *EAGAIN* if there is nothing now.
  private func receiveNow(
    _ byteCount: Int, from file: borrowing FileDescriptor
  ) throws(Errno) -> [UInt8] {
    let socket = file.rawValue
    var bytes = [UInt8](repeating: 0, count: byteCount)
    // SAFETY: the bytes live for the call, which is given their true length.
    let count = unsafe bytes.withUnsafeMutableBytes {
      unsafe recv(socket, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT))
    }
    let error = Errno.current
    guard count >= 0 else { throw error }
    bytes.removeLast(byteCount - count)
    return bytes
  }

  /// How many bytes wait to be read: 0 or 1.
  private func unreadByteCount(_ file: borrowing FileDescriptor) -> Int {
    var byte: UInt8 = 0
    // SAFETY: one byte, which lives for the call.
    return max(0, unsafe recv(file.rawValue, &byte, 1, Int32(MSG_DONTWAIT | MSG_PEEK)))
  }

  /// Waits until one of the descriptors is ready; which ones are.
  private func wait(
    _ files: [(Int32, Int32)], _ deadline: UInt64
  ) throws(Interruption) -> [Bool] {
    var set = files.map { pollfd(fd: $0.0, events: Int16($0.1), revents: 0) }
    set.append(pollfd(fd: ending.descriptor, events: Int16(POLLIN), revents: 0))
    while true {
      let now = HostClock.monotonicNanoseconds()
      guard now < deadline else { throw .failed("does not answer") }
      // Rounded up, not to spin at the end.
      let milliseconds = Int32(clamping: (deadline - now) / 1_000_000 + 1)
      // SAFETY: the array lives for the call, which is given its true length.
      let count = unsafe set.withUnsafeMutableBufferPointer {
        unsafe poll($0.baseAddress, nfds_t($0.count), milliseconds)
      }
      guard count > 0 else { continue }
      if set[files.count].revents != 0 { throw .ended }
      return set.prefix(files.count).map { $0.revents != 0 }
    }
  }
}

/// Why there is no emulated TPM.
public enum TPMEmulatorError: Error, Equatable, Sendable, CustomStringConvertible {
  /// swtpm is not installed.
  case notInstalled
  case inUse(directory: String)
  case directory(String, problem: String)
  case system(_ operation: String, Errno)
  /// The emulator, and what it did.
  case emulator(_ name: String, String)

  /// One line.
  public var description: String {
    switch self {
    case .notInstalled:
      "swtpm, which emulates the TPM, is not installed: apt-get install swtpm, or run with --tpm none"
    case .inUse(let directory): "the TPM's directory \(directory) is in use by another machine"
    case .directory(let directory, let problem): "the TPM's directory \(directory) \(problem)"
    case .system(let operation, let error): "cannot \(operation): \(error)"
    case .emulator(let name, let fault): "the TPM emulator \(name) \(fault)"
    }
  }
}

// MARK: State

extension TPMEmulator {
  /// All parts of the TPM's state, as the emulator has them now. After restoring it is as it was
  /// between two commands, and no power-on follows.
  public func transferState(_ transfer: inout StateTransfer) throws(StateError) {
    var parts = Self.stateKinds.map { _ in StatePart() }
    if !transfer.isRestoring {
      parts = try exchange { (state) throws(Interruption) in try readParts(&state) }
    }
    try transfer.elements(&parts) { (transfer, part) throws(StateError) in
      try transfer.integer(&part.flags)
      try transfer.bytes(&part.bytes, maximumCount: Self.maximumStateByteCount)
    }
    guard transfer.isRestoring else { return }
    // The machine before may have ended it.
    ending.clear()
    try exchange { [parts] (state) throws(Interruption) in try writeParts(parts, &state) }
  }

  /// Asks an emulator that is there and has nothing else to do.
  private func exchange<R: Sendable>(
    _ body: (inout State) throws(Interruption) -> R
  ) throws(StateError) -> R {
    try state.withLock { [self] state throws(StateError) in
      guard !state.isGone, state.capabilities & Self.stateCapabilities == Self.stateCapabilities
      else { throw .unsupported("the TPM of \(name)") }
      guard state.response == nil else { throw .busy("the TPM answers a command") }
      var result: R?
      let fault = attempt(&state) { (state) throws(Interruption) in result = try body(&state) }
      guard let result else {
        throw .busy("the TPM emulator \(name) \(fault ?? "is being stopped")")
      }
      return result
    }
  }

  private func readParts(_ state: inout State) throws(Interruption) -> [StatePart] {
    var parts: [StatePart] = []
    for kind in Self.stateKinds {
      // No flags, and from the beginning. All of it follows its header, which comes with an error
      // too.
      let body = UInt32(0).bigEndianBytes + kind.bigEndianBytes + UInt32(0).bigEndianBytes
      let header = try ask(
        Control.getState, body, replyByteCount: 16, hasResult: false, &state)
      let result: UInt32 = header.loadBE(at: 0)
      let (total, count): (UInt32, UInt32) = (header.loadBE(at: 8), header.loadBE(at: 12))
      guard result == 0 || result == Self.retry, count == total,
        count <= Self.maximumStateByteCount
      else {
        throw .failed(
          "answers GET_STATEBLOB with the result \(hexadecimal(result)) and \(count) bytes of"
            + " \(total)")
      }
      var part = StatePart(flags: header.loadBE(at: 4))
      let deadline = deadline
      while part.bytes.count < Int(count) {
        part.bytes += try receive(Int(count) - part.bytes.count, from: control, deadline)
      }
      parts.append(part)
    }
    return parts
  }

  private func writeParts(_ parts: [StatePart], _ state: inout State) throws(Interruption) {
    let deadline = HostClock.monotonicNanoseconds() + Self.endingNanoseconds
    while true {
      do throws(Interruption) {
        return try writePartsOnce(parts, &state)
      } catch {
        guard case .refused(Control.initialize, Self.fail) = error, state.power == .off,
          HostClock.monotonicNanoseconds() < deadline
        else { throw error }
        LockPatience.nap()
      }
    }
  }

  private func writePartsOnce(
    _ parts: [StatePart], _ state: inout State
  ) throws(Interruption) {
    _ = try ask(Control.stop, replyByteCount: 4, &state)
    for (kind, part) in zip(Self.stateKinds, parts) where !part.bytes.isEmpty {
      let header =
        part.flags.bigEndianBytes + kind.bigEndianBytes
        + UInt32(part.bytes.count).bigEndianBytes
      _ = try ask(Control.setState, header + part.bytes, replyByteCount: 4, &state)
    }
    try initialize(flags: 0, &state)
  }
}
