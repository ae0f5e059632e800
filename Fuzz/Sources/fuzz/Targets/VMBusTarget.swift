internal import Bytes
internal import DeviceKit
internal import GuestMemory
import HostSystem

@testable internal import Devices

/// A guest of VMBus, which begins well and then does what the input says: messages of any bytes,
/// lists of pages, rings that hold anything, answers of services and of Dynamic Memory's driver,
/// while the host asks for things and time goes by.
///
/// The bus has no thread: the harness serves it, every time in the same way.
final class VMBusTarget: FuzzTarget {
  static let name = "vmbus"
  static let maximumInputByteCount = 1024
  static let role = ThreadRole.vmbus

  /// Counts what the guest would have got.
  private final class Port: VMBusPort {
    let count = Guarded(0)

    var waitingMessageCount: Int { 0 }
    func send(_ message: [UInt8], to vp: UInt32) {
      require(message.count <= 240 && vp < 2, "\(message.count) bytes for processor \(vp)")
      count.withLock { $0 += 1 }
    }
    func retryMessages() {}
    func dropMessages() {}
    func transferState(_ transfer: inout StateTransfer) throws(StateError) {}
    func setEvent(_ flag: UInt32, of vp: UInt32) {
      require(flag < 2048 && vp < 2, "event \(flag) of processor \(vp)")
    }
  }

  /// What memory grows by: numbers, and no memory, which would stay from one input to the next.
  private final class Growth: GuestMemoryGrowth {
    static let byteCount = 4 * GuestMemoryLayout.growthUnit
    private static let firstPage: UInt64 = 0x10_0000
    private let added = Guarded<UInt64>(0)

    let stepByteCount = GuestMemoryLayout.growthUnit
    var leftByteCount: UInt64 { Self.byteCount - added.withLock { $0 } }
    var addedPages: Range<UInt64> {
      Self.firstPage..<Self.firstPage + added.withLock { $0 } / 4096
    }

    func grow(by byteCount: UInt64) -> Range<UInt64>? {
      require(
        byteCount > 0 && byteCount.isMultiple(of: stepByteCount) && byteCount <= leftByteCount,
        "\(byteCount) bytes of memory more")
      return added.withLock { added in
        let first = Self.firstPage + added / 4096
        added += byteCount
        return first..<first + byteCount / 4096
      }
    }
  }

  private static let channelCount: UInt32 = 4
  private static let ringPageCount = 8
  /// Rings of a channel are 8 pages from here on.
  private static let rings: UInt64 = 0x40
  private static let versions: [UInt32] = [0x4_0000, 0x4_0001, 0x5_0000, 0x5_0003, 0x6_0000]

  private let bench: DeviceBench
  private var memory: GuestMemory { bench.memory }
  private let clock: StreamClock
  private let balloon: Balloon
  private let shutdown = ShutdownService()
  private let port = Port()
  private var growth = Growth()
  private var host: VMBusHost
  /// What goes on where the other one was saved.
  private var twin: VMBusHost

  init() throws {
    bench = try DeviceBench()
    clock = StreamClock(nanoseconds: 1 << 40)
    balloon = Balloon(targetPageCount: 0, clock: Self.now(clock))
    host = try Self.host(balloon, shutdown, port, clock, bench.memory, growth)
    twin = try Self.host(Balloon(), ShutdownService(), Port(), clock, bench.memory, growth)
  }

  /// What was added stays until a machine ends, and each input is to find the same.
  private func forgetGrowth() {
    guard !growth.addedPages.isEmpty else { return }
    growth = Growth()
    do {
      host = try Self.host(balloon, shutdown, port, clock, memory, growth)
      twin = try Self.host(Balloon(), ShutdownService(), Port(), clock, memory, growth)
    } catch {
      require(false, "no bus: \(error)")
    }
  }

  private static func now(_ clock: StreamClock) -> @Sendable () -> UInt64 {
    { UInt64(bitPattern: clock.nanoseconds) }
  }

  private static func host(
    _ balloon: Balloon, _ shutdown: ShutdownService, _ port: Port, _ clock: StreamClock,
    _ memory: GuestMemory, _ growth: Growth
  ) throws -> VMBusHost {
    let memoryDevice = DynamicMemory(balloon, growth: growth, clock: now(clock))
    memoryDevice.attach {}
    return try VMBusHost(
      [
        HeartbeatService(), shutdown, TimeService(nanosecondsSince1970: { clock.nanoseconds }),
        memoryDevice,
      ], vpCount: 2, memory: memory, port: port, clock: now(clock), onThreadStart: {})
  }

  func run(_ input: FuzzInput) {
    forgetGrowth()
    post([UInt8](repeating: 0, count: 8), kind: 16)
    host.turn()
    bench.clear()
    balloon.targetPageCount = 0
    if input.byte & 0x80 == 0 {
      contact(0x4_0000)
      post(kind: 3)
      for channel in 0..<Self.channelCount { open(channel, UInt32(Self.ringPageCount / 2)) }
    }
    input.drive(step, serve: serve)
  }

  private func serve() {
    let before = port.count.withLock { $0 }
    let opened = host.openChannelCount
    host.turn()
    let activity = balloon.activity
    require(
      UInt64(activity.actualPageCount) * 4096 <= DeviceBench.ramByteCount, "more than there is")
    require(
      UInt64(activity.addedPageCount) * 4096 <= Growth.byteCount - growth.leftByteCount,
      "the guest has more than was added")
    require(activity.givenBackByteCount % 4096 == 0, "a part of a page was given back")
    let taken = opened - host.openChannelCount
    require(
      port.count.withLock { $0 } - before == taken, "channels were closed without a word")
  }

  /// Whatever the guest has done, it is saved, restored, and the same.
  private func goOn() {
    let saved = state(of: host)
    var restoring = StateTransfer(restoring: saved)
    do {
      try twin.transferState(&restoring)
      try restoring.finish()
    } catch {
      require(false, "what was saved is not restored: \(error)")
    }
    require(state(of: twin) == saved, "what was restored is not what was saved")
  }

  private func state(of host: VMBusHost) -> [UInt8] {
    var transfer = StateTransfer()
    do throws(StateError) {
      try host.transferState(&transfer)
    } catch {
      require(false, "not saved: \(error)")
    }
    return transfer.bytes
  }

  // MARK: Messages

  private func post(_ bytes: [UInt8], kind: UInt32) {
    _ = host.post(
      kind.littleEndianBytes + [0, 0, 0, 0] + bytes, type: 1, connection: 1)
  }

  private func post(words: [UInt32] = [], kind: UInt32) {
    post(words.flatMap(\.littleEndianBytes), kind: kind)
  }

  private func contact(_ version: UInt32) {
    post(words: [version, 0, 2, 0, 0, 0, 0, 0], kind: 14)
  }

  private static func page(_ channel: UInt32, _ index: Int) -> UInt64 {
    rings + UInt64(channel) * UInt64(ringPageCount) + UInt64(index)
  }

  private func open(_ channel: UInt32, _ offset: UInt32) {
    let (relid, count) = (channel + 1, Self.ringPageCount)
    var pages: [UInt64] = []
    for index in 0..<count { pages.append(Self.page(channel, index)) }
    for index in [0, count / 2] {
      try? memory.fill(at: GPA(pages[index] << 12), byteCount: 4096, with: 0)
    }
    let lengths = UInt32(8 + 8 * count) | 1 << 16
    let header: [UInt32] = [relid, 100 + relid, lengths, UInt32(count) * 4096, 0]
    post(header.flatMap(\.littleEndianBytes) + pages.littleEndianBytes, kind: 8)
    let place: [UInt32] = [relid, 1, 100 + relid, channel & 1, offset]
    post(words: place + [UInt32](repeating: 0, count: 30), kind: 5)
  }

  // MARK: Rings

  /// Puts a packet where the guest's ring goes on.
  private func send(_ channel: UInt32, _ payload: [UInt8], flags: UInt16 = 0) {
    let byteCount = (16 + payload.count + 7) / 8 * 8
    var bytes = (6 as UInt16).littleEndianBytes + (2 as UInt16).littleEndianBytes
    bytes += UInt16(byteCount / 8).littleEndianBytes + flags.littleEndianBytes
    bytes += (3 as UInt64).littleEndianBytes + payload
    bytes += [UInt8](repeating: 0, count: byteCount + 8 - bytes.count)
    write(channel, bytes)
  }

  private func write(_ channel: UInt32, _ bytes: [UInt8]) {
    let header = GPA(Self.page(channel, 0) << 12)
    let ringByteCount = (Self.ringPageCount / 2 - 1) * 4096
    let index = Int((try? memory.load(at: header, as: UInt32.self)) ?? 0) % ringByteCount
    for (offset, byte) in bytes.enumerated() {
      let place = (index + offset) % ringByteCount
      let page = Self.page(channel, 1 + place / 4096)
      try? memory.store(byte, at: GPA(page << 12 + UInt64(place % 4096)))
    }
    try? memory.store(UInt32((index + bytes.count) % ringByteCount), at: header)
  }

  // MARK: Steps

  private func step(_ input: FuzzInput) {
    let action = input.byte
    let channel = UInt32(action >> 4 & 3)
    switch action & 15 {
    case 0, 1:
      post(input.bytes(Int(input.byte)), kind: UInt32(input.byte % 26))
    case 2: contact(input.pick(Self.versions))
    case 3: post(kind: 3)
    case 4: open(channel, action & 0x80 == 0 ? 4 : UInt32(input.byte))
    case 5: post(words: [channel + 1], kind: 7)
    case 6: post(words: [channel + 1, 101 + channel], kind: action & 0x80 == 0 ? 11 : 22)
    case 7: post(words: [channel + 1], kind: 13)
    case 8: send(channel, input.bytes(Int(input.byte)), flags: UInt16(action >> 7))
    case 9: write(channel, input.bytes(Int(input.byte & 0x3F)))
    case 10:
      let page = Self.page(channel, action & 0x80 == 0 ? 0 : Self.ringPageCount / 2)
      try? memory.store(
        UInt32(truncatingIfNeeded: input.anyMagnitude),
        at: GPA(page << 12 + 4 * UInt64(input.byte & 0x1F)))
    case 11: clock.advance(by: Int64(input.byte) * 1_000_000_000)
    case 12, 13: sendMemory(input)
    case 14: answer(channel % 3, input)
    default:
      switch action >> 6 {
      case 0: balloon.targetPageCount = UInt32(input.uint16 & 0xFFF)
      case 1: setSize(UInt64(input.byte) << 22)
      case 2: _ = shutdown.request()
      default: goOn()
      }
    }
  }

  /// The guest is to have so many bytes; what it started with is the bench's RAM.
  private func setSize(_ byteCount: UInt64) {
    balloon.setSize(
      MemorySize(
        byteCount: byteCount, startByteCount: DeviceBench.ramByteCount,
        growthByteCount: Growth.byteCount, growthStepByteCount: growth.stepByteCount))
  }

  /// A message of Dynamic Memory's driver.
  private func sendMemory(_ input: FuzzInput) {
    let kind = UInt16(input.byte % 13)
    var words: [UInt64] = []
    switch kind {
    case 1: words = [input.bool ? 0x2_0000 : UInt64(input.byte)]
    case 3: words = [input.bool ? 0x1F : input.anyMagnitude, 0, 0]
    case 7:
      let count = Int(input.byte & 7)
      words = [UInt64(count) << 33 | UInt64(input.byte & 1) << 32]
      for _ in 0..<count {
        words.append(
          input.bool ? UInt64(input.byte) | UInt64(input.byte) << 40 : input.anyMagnitude)
      }
    case 11:
      words = [
        input.bool ? UInt64(input.byte) << 15 | UInt64(input.byte) << 32 : input.anyMagnitude
      ]
    default: for _ in 0..<Int(input.byte & 7) { words.append(input.anyMagnitude) }
    }
    var bytes = kind.littleEndianBytes + UInt16(8 + 8 * words.count).littleEndianBytes
    bytes += [0, 0, 0, 0] + words.littleEndianBytes
    send(3, bytes)
  }

  /// An answer to a service: a choice of versions, or something.
  private func answer(_ channel: UInt32, _ input: FuzzInput) {
    var bytes = [UInt8](repeating: 0, count: 28)
    bytes[12] = input.byte & 7
    bytes[25] = input.bool ? 5 : input.byte
    if input.bool {
      bytes += [1, 0, 1, 0, 0, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0]
    } else {
      bytes += input.bytes(Int(input.byte & 0x3F))
    }
    send(channel, bytes)
  }
}
