internal import DeviceKit
internal import Glibc
internal import HostSystem

/// The server's thread: waits for viewers, and for the time of the next look at the display.
final class VNCLoop {
  /// 30 looks a second, at most.
  private static let lookNanoseconds: UInt64 = 33_333_333
  /// How far looks are apart when nothing has changed and nobody has typed for a while.
  private static let stillLookNanoseconds: UInt64 = 100_000_000
  private static let stillNanoseconds: UInt64 = 2_000_000_000
  /// How long nothing is accepted after the host could not, and after a wrong password.
  private static let acceptPauseNanoseconds: UInt64 = 1_000_000_000

  private let core: VNCCore
  private var machine = ShownMachine()
  private var generation = 0
  private var picture = SharedPicture(width: 1024, height: 768)
  private var viewers: [ViewerConnection] = []
  private var held = HeldInput()
  private var logsWrites = false
  private var lastLook: UInt64 = 0
  /// When the picture changed or a viewer did something.
  private var lastStir: UInt64 = 0
  private var acceptsFrom: UInt64 = 0
  private var counts = VNCServer.Counts()

  init(_ core: VNCCore) {
    self.core = core
  }

  func run() {
    while let (machine, generation) = core.takeChange() {
      if generation != self.generation { take(machine, generation) }
      core.acknowledge(generation)
      let now = HostClock.monotonicNanoseconds()
      if viewers.contains(where: \.isWaiting), now >= nextLook {
        look(now: now)
      }
      for viewer in viewers {
        deliver(viewer.update(from: picture), of: viewer)
      }
      removeGone()
      core.setCounts(counts)
      wait()
      counts.wakes += 1
    }
    for viewer in viewers { viewer.releaseAll(machine, &held) }
    setLogsWrites(false)
  }

  private func take(_ machine: ShownMachine, _ generation: Int) {
    for viewer in viewers { viewer.releaseAll(self.machine, &held) }
    setLogsWrites(false)
    self.machine = machine
    self.generation = generation
    for viewer in viewers { viewer.setName(name) }
    setLogsWrites(viewers.contains(where: \.isRunning))
    if !viewers.isEmpty { look(now: HostClock.monotonicNanoseconds()) }
  }

  private var name: String { machine.name ?? core.settings.name }

  /// Without a viewer the guest writes its picture without exits.
  private func setLogsWrites(_ logsWrites: Bool) {
    guard logsWrites != self.logsWrites else { return }
    self.logsWrites = logsWrites && machine.display != nil
    machine.display?.setLogsWrites(logsWrites)
    // All counts as written now.
    lastLook = 0
  }

  // MARK: Waiting

  private func wait() {
    let now = HostClock.monotonicNanoseconds()
    let accepts = now >= acceptsFrom
    var files = [
      pollfd(fd: core.descriptor, events: Int16(POLLIN), revents: 0),
      pollfd(fd: accepts ? core.listener.rawValue : -1, events: Int16(POLLIN), revents: 0),
    ]
    files += viewers.map { pollfd(fd: $0.descriptor, events: $0.events, revents: 0) }
    let count = PollSet.wait(&files, until: wakeTime(accepts: accepts), now: now)
    // An error leaves the answers as they were: none.
    if count > 0 { handle(files) }
    let after = HostClock.monotonicNanoseconds()
    for viewer in viewers { viewer.look(now: after) }
  }

  /// When something has to happen whatever comes; nil for never.
  private func wakeTime(accepts: Bool) -> UInt64? {
    var times = viewers.compactMap(\.wakeTime)
    if viewers.contains(where: \.isWaiting), machine.display != nil {
      times.append(nextLook)
    }
    if !accepts { times.append(acceptsFrom) }
    return times.min()
  }

  private func handle(_ files: [pollfd]) {
    for (viewer, file) in zip(viewers, files.dropFirst(2)) where file.revents != 0 {
      if file.revents & Int16(POLLIN) != 0 {
        deliver(viewer.receive(), of: viewer)
      } else if file.revents & Int16(POLLERR | POLLHUP | POLLNVAL) != 0 {
        viewer.end()
      }
    }
    if files[1].revents != 0 { accept() }
  }

  /// Hands what a viewer's user did to the machine, and looks at its answer soon.
  private func deliver(_ events: [ViewerEvent], of viewer: ViewerConnection) {
    guard !events.isEmpty else { return }
    lastStir = HostClock.monotonicNanoseconds()
    viewer.deliver(events, machine, &held, width: picture.width, height: picture.height)
  }

  private func accept() {
    while true {
      let accepted: FileDescriptor
      do throws(Errno) {
        accepted = try FileDescriptor(acceptedBy: core.listener)
      } catch {
        if error == Errno(ECONNABORTED) || error == Errno(EINTR) { continue }
        if error != Errno(EAGAIN) {
          acceptsFrom = HostClock.monotonicNanoseconds() + Self.acceptPauseNanoseconds
        }
        return
      }
      // One too many takes the place of the oldest that was not let in, or is closed here.
      if viewers.count >= VNCServer.viewerLimit {
        guard let stranger = viewers.firstIndex(where: { !$0.isRunning }) else { continue }
        viewers.remove(at: stranger).releaseAll(machine, &held)
      }
      let now = HostClock.monotonicNanoseconds()
      // Its first message has the picture's size.
      if !logsWrites { look(now: now) }
      var random = SystemRandomNumberGenerator()
      let challenge = (0..<16).map { _ in UInt8.random(in: 0...255, using: &random) }
      viewers.append(
        ViewerConnection(
          accepted,
          RFBSession.Settings(
            name: name, password: core.settings.password, challenge: challenge),
          layout: core.settings.layout, width: picture.width, height: picture.height, now: now))
    }
  }

  private func removeGone() {
    for viewer in viewers where viewer.isOver {
      viewer.releaseAll(machine, &held)
      // Guessing takes its time.
      if viewer.wasRefused {
        acceptsFrom = HostClock.monotonicNanoseconds() + Self.acceptPauseNanoseconds
      }
    }
    viewers.removeAll(where: \.isOver)
    counts.viewers = viewers.count(where: \.isRunning)
    setLogsWrites(counts.viewers > 0)
  }

  // MARK: The picture

  private var nextLook: UInt64 {
    let isStill = lastLook >= lastStir + Self.stillNanoseconds
    return lastLook + (isStill ? Self.stillLookNanoseconds : Self.lookNanoseconds)
  }

  private func look(now: UInt64) {
    lastLook = now
    counts.looks += 1
    // Before the look: who reads the count after a write knows that the next look sees it.
    core.setCounts(counts)
    guard let display = machine.display else { return }
    let change = picture.refresh(from: display)
    if change != .none { lastStir = now }
    for viewer in viewers { viewer.take(change, of: picture) }
    guard let lights = machine.keyboard?.lights else { return }
    let bits: UInt8 =
      (lights.contains(.scrollLock) ? 1 : 0) | (lights.contains(.numLock) ? 2 : 0)
      | (lights.contains(.capsLock) ? 4 : 0)
    for viewer in viewers { viewer.setLights(bits) }
  }
}
