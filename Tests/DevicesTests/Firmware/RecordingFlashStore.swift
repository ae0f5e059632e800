import HostSystem
import TestSupport

@testable import Devices

/// A store that keeps what it is told, in order, and fails when it is told to.
final class RecordingFlashStore: FlashStore {
  enum Call: Equatable {
    case write([UInt8], at: Int)
    case flush
  }

  let initialBytes: [UInt8]
  private let log = Recorder<Call>()
  private let failure = Guarded<FlashStoreError?>(nil)

  init(byteCount: Int, fill: UInt8 = 0xFF) {
    initialBytes = [UInt8](repeating: fill, count: byteCount)
  }

  var calls: [Call] { log.values }

  func fail(with error: FlashStoreError?) {
    failure.withLock { $0 = error }
  }

  func write(_ bytes: [UInt8], at offset: Int) throws(FlashStoreError) {
    if let error = failure.withLock({ $0 }) { throw error }
    log.append(.write(bytes, at: offset))
  }

  func flush() throws(FlashStoreError) {
    if let error = failure.withLock({ $0 }) { throw error }
    log.append(.flush)
  }
}
