public import DeviceKit
internal import Glibc
internal import HostSystem

/// What viewers see and reach of a machine.
public struct ShownMachine: Sendable {
  public var display: (any PictureSource)?
  public var keyboard: (any KeyboardInput)?
  public var pointer: (any PointerInput)?
  /// The title of viewers' windows meanwhile, where the viewer can change it; nil for the server's.
  public var name: String?

  public init(
    display: (any PictureSource)? = nil, keyboard: (any KeyboardInput)? = nil,
    pointer: (any PointerInput)? = nil, name: String? = nil
  ) {
    self.display = display
    self.keyboard = keyboard
    self.pointer = pointer
    self.name = name
  }
}

/// Shows a machine's display to viewers of VNC, and takes their keys and pointers. Any thread.
///
/// One thread serves all viewers. It looks at the display at most 30 times a second, and only while
/// a viewer waits for a change; 10 times when nothing has changed for two seconds and nobody has
/// typed or pointed. Without a viewer it sleeps, and the display logs nothing. A viewer that does
/// not read misses updates, and no other waits for it.
public final class VNCServer: Sendable {
  /// Viewers at a time; more are sent away.
  public static let viewerLimit = 16

  /// What a server is made with.
  public struct Settings: Sendable {
    /// The title of viewers' windows.
    public var name: String
    /// Nil lets all in that reach the socket. Only the first 8 bytes count.
    public var password: [UInt8]?
    /// Where the guest has its characters, for viewers that send no places of keys.
    public var layout: KeyboardLayout

    public init(name: String, password: [UInt8]? = nil, layout: KeyboardLayout = .us) {
      self.name = name
      self.password = password
      self.layout = layout
    }
  }

  /// What the thread did, for reports and tests.
  public struct Counts: Equatable, Sendable {
    /// Viewers that were let in and are connected.
    public var viewers = 0
    /// Looks at the display.
    public var looks = 0
    /// Waits that ended, whatever for.
    public var wakes = 0
  }

  private let core: VNCCore
  private let thread: HostThread

  /// Starts the thread.
  ///
  /// - Parameters:
  ///   - listener: where viewers connect.
  ///   - onThreadStart: what the thread does first of all, as entering its sandbox.
  /// - Throws: when the host gives no more threads or descriptors.
  public init(
    _ listener: consuming VNCListener, _ settings: Settings,
    onThreadStart: @escaping @Sendable () -> Void = {}
  ) throws(DeviceError) {
    let core: VNCCore
    do throws(Errno) {
      core = try VNCCore(listener.file.release(), settings)
    } catch {
      throw .unavailable(
        what: "no event for viewers: \(error)", cure: "raise the limit of open files (ulimit -n)")
    }
    self.core = core
    do throws(HostThread.Failure) {
      thread = try HostThread {
        onThreadStart()
        VNCLoop(core).run()
      }
    } catch {
      throw .threads(count: 1, kind: "viewer")
    }
  }

  /// Shows a machine from now on; what viewers hold down is released in the one before. Viewers
  /// stay connected, and see the last picture while there is none.
  ///
  /// When it returns, nothing of the machine before is used any more: its memory goes with whoever
  /// made it, and not on the server's thread, which may do less. Not for several threads at once.
  public func show(_ machine: ShownMachine) {
    core.show(machine)
  }

  /// Closes all connections and ends the thread. Once.
  public func stop() {
    core.stop()
    thread.join()
  }

  public var counts: Counts { core.counts }
}

/// What the server's thread and the others share.
final class VNCCore: Sendable {
  private struct State {
    var machine = ShownMachine()
    /// Goes up with each machine.
    var generation = 0
    /// The newest that the thread has taken.
    var taken = 0
    var isStopped = false
    var counts = VNCServer.Counts()
  }

  let settings: VNCServer.Settings
  let listener: FileDescriptor
  private let state = Guarded(State())
  /// Raised and cleared with the lock held.
  private let changed: Event
  /// Raised when the thread has taken a machine.
  private let taken: Event

  /// Takes over the listening socket.
  init(_ listener: Int32, _ settings: VNCServer.Settings) throws(Errno) {
    self.listener = FileDescriptor(taking: listener)
    self.settings = settings
    changed = try Event()
    taken = try Event()
  }

  /// Readable when something changed.
  var descriptor: Int32 { changed.descriptor }

  var counts: VNCServer.Counts { state.withLock { $0.counts } }

  func show(_ machine: ShownMachine) {
    let generation = state.withLock { state in
      state.machine = machine
      state.generation += 1
      taken.clear()
      changed.raise()
      return state.generation
    }
    while state.withLock({ $0.taken < generation && !$0.isStopped }) {
      _ = taken.wait(seconds: 3600)
    }
  }

  /// The thread has taken this machine, and let the ones before go.
  func acknowledge(_ generation: Int) {
    state.withLock { state in
      guard state.taken < generation else { return }
      state.taken = generation
      taken.raise()
    }
  }

  func stop() {
    state.withLock { state in
      state.isStopped = true
      changed.raise()
      taken.raise()
    }
  }

  /// What there is now, and its number; nil when it is over.
  func takeChange() -> (machine: ShownMachine, generation: Int)? {
    state.withLock { state in
      changed.clear()
      return state.isStopped ? nil : (state.machine, state.generation)
    }
  }

  func setCounts(_ counts: VNCServer.Counts) {
    state.withLock { $0.counts = counts }
  }
}
