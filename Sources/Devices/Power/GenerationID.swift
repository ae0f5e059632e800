public import DeviceKit
internal import HostSystem

/// A machine's generation: a GUID that is another one whenever the machine goes on from what was
/// saved, so that a guest finds out that its past may have happened twice. Linux seeds its random
/// numbers anew, Windows' directory service and databases take it for a rollback. A reset leaves it
/// as it is. Safe from any thread.
///
/// Reads only: what a guest writes is ignored. Source: Microsoft, *Virtual Machine Generation ID*,
/// 2012.
public final class GenerationID: BusDevice {
  /// In a page of its own.
  public static let range = MMIORange(start: 0xFED4_6000, byteCount: 16)

  private let bytes: Guarded<[UInt8]>

  /// - Parameter bytes: the GUID as it is in memory; 16, others trap.
  public init(_ bytes: [UInt8]) {
    precondition(bytes.count == Int(Self.range.byteCount), "a GUID of \(bytes.count) bytes")
    self.bytes = Guarded(bytes)
  }

  /// One by chance.
  public convenience init() {
    self.init([UInt8](repeating: 0, count: Int(Self.range.byteCount)))
    renew()
  }

  /// The GUID as it is in memory.
  public var value: [UInt8] { bytes.withLock { $0 } }

  /// Another one, by chance; the guest has to be told.
  public func renew() {
    var new = (0..<Int(Self.range.byteCount)).map { _ in UInt8.random(in: .min ... .max) }
    // Version 4, variant 1 (RFC 9562): the time's high part is little endian in memory.
    new[7] = new[7] & 0x0F | 0x40
    new[8] = new[8] & 0x3F | 0x80
    bytes.withLock { [new] bytes in bytes = new }
  }

  public func read(offset: UInt64, width: Int) -> UInt64 {
    bytes.withLock { bytes in
      ByteLanes.read(offset: offset, width: width, registerCount: Self.range.byteCount) {
        bytes[Int($0)]
      }
    }
  }

  public func write(offset: UInt64, width: Int, value: UInt64) {}
}

extension GenerationID: StatefulDevice {
  /// The GUID: who restores a machine that was saved, and was not only moved, renews it then.
  public func transferState(_ transfer: inout StateTransfer) throws(StateError) {
    try bytes.withLock { (bytes) throws(StateError) in try transfer.bytes(&bytes) }
  }
}
