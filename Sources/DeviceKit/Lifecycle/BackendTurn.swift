internal import HostSystem

/// A device's turn at a back-end that outlives it: from its start to its first stop. After that the
/// back-end may be the next machine's, which a further stop, as at the device's end, leaves alone.
///
/// Any thread.
package final class BackendTurn: Sendable {
  private let isTaken = Guarded(false)
  private let onBegin: @Sendable () -> Void
  private let onEnd: @Sendable () -> Void

  /// - Parameters:
  ///   - onBegin: lets the back-end work for the device.
  ///   - onEnd: ends what waits there; called once for each `onBegin`.
  package init(
    onBegin: @escaping @Sendable () -> Void, onEnd: @escaping @Sendable () -> Void
  ) {
    self.onBegin = onBegin
    self.onEnd = onEnd
  }

  /// The device starts.
  package func begin() {
    isTaken.withLock { $0 = true }
    onBegin()
  }

  /// The device stops; may be called again, and without `begin`.
  package func end() {
    let wasTaken = isTaken.withLock { isTaken in
      defer { isTaken = false }
      return isTaken
    }
    if wasTaken { onEnd() }
  }
}
