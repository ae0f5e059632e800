public import DeviceKit
internal import HostSystem

/// A TPM 2.0 behind a command response buffer (CRB) in memory, at the place where every PC has it.
///
/// Accesses never wait for the back-end: commands are answered on a thread of its own, and the
/// guest waits for *CRB_CTRL_START* to clear. One command is under way at most. Safe from any
/// thread.
public final class TPMInterface: BusDevice, Device {
  /// Five localities of 4 KiB, of which the first has the registers.
  public static let range = MMIORange(start: 0xFED4_0000, byteCount: 0x5000)

  private let registers = Guarded(TPMRegisters())
  private let backend: any TPMBackend
  private let work = WorkList(count: 1)
  private let threads: DeviceThreads

  /// - Parameter onThreadStart: what its thread does first of all.
  public init(_ backend: any TPMBackend, onThreadStart: @escaping @Sendable () -> Void = {}) {
    self.backend = backend
    threads = DeviceThreads(work, onStart: onThreadStart)
  }

  public func read(offset: UInt64, width: Int) -> UInt64 {
    registers.withLock { $0.read(offset: offset, width: width) }
  }

  public func write(offset: UInt64, width: Int, value: UInt64) {
    registers.withLock { [backend, work] registers in
      let effect = registers.write(offset: offset, width: width, value: value)
      if let cancels = effect.cancels { backend.setCancels(cancels) }
      if effect.starts { work.add(0) }
    }
  }

  public func start() throws(DeviceError) {
    backend.begin()
    // A command may have waited when the machine was saved.
    work.add(0)
    try threads.start(count: 1, kind: "TPM") { [self] in
      backend.restart()
      while work.next() != nil { serve() }
    }
  }

  public func stop() {
    backend.end()
    threads.stop()
  }

  /// Waits for the answer to a command that is under way, which may take the TPM longer.
  public func pause() throws(StateError) {
    try threads.pause()
  }

  /// Goes on with a command that was started.
  public func resume() {
    threads.resume()
  }

  /// Saves or restores the registers, the buffer and, by the back-end, the TPM itself.
  public func transferState(_ transfer: inout StateTransfer) throws(StateError) {
    let isCancelled = try registers.withLock { registers throws(StateError) in
      try registers.transfer(&transfer)
      return registers.isCancelled
    }
    try backend.transferState(&transfer)
    if transfer.isRestoring { backend.setCancels(isCancelled) }
  }

  /// Answers the command that was started, if any.
  func serve() {
    guard let command = registers.withLock({ $0.command }) else { return }
    let response = Self.checked(backend.answer(command))
    registers.withLock { $0.finish(response) }
  }

  /// A response that has the length that its header says, and fits the buffer; else a failure.
  private static func checked(_ response: [UInt8]?) -> [UInt8] {
    guard let response, response.count <= TPMRegisters.bufferByteCount,
      TPMMessage.byteCount(of: response) == UInt32(response.count)
    else { return TPMMessage.response(TPMMessage.failure) }
    return response
  }
}
