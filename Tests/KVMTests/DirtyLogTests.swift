import Testing

@testable import KVM

@Suite(
  .enabled(if: KVMDevice.isUsable, "needs read-write /dev/kvm"), .serialized,
  .timeLimit(.minutes(10)))
struct DirtyLogTests {
  /// Code that writes AL to one byte in each page, and halts.
  static func writing(to pages: [Int]) -> [UInt8] {
    let stores = pages.flatMap { page in
      // MOV DX, segment of the page; MOV ES, DX; MOV ES:[0xFFF], AL
      [0xBA, 0x00, UInt8(page), 0x8E, 0xC2, 0x26, 0xA2, 0xFF, 0x0F] as [UInt8]
    }
    // HLT
    return stores + [0xF4]
  }

  /// 100 pages: a whole word of the log and part of a second.
  private func guest(writing pages: [Int], protects: Bool = true) throws -> TinyGuest {
    try TinyGuest(Self.writing(to: pages), pageCount: 100, options: .logsDirtyPages) { machine in
      if protects { try #require(try machine.enableManualDirtyLogProtect()) }
    }
  }

  static let pageSets: [[Int]] = [[], [0], [2], [63], [64], [99], [0, 2, 63, 64, 65, 99]]

  @Test(arguments: pageSets)
  func holdsExactlyTheWrittenPagesFromCreationOn(pages: [Int]) throws {
    var guest = try guest(writing: pages, protects: false)
    #expect(try guest.dirtyPages() == [])
    #expect(try guest.vcpu.run() == .halt)
    #expect(try guest.dirtyPages() == pages)
  }

  @Test func readingFreshPagesIsNotLogged() throws {
    // MOV AL, [0x2000]; MOV AL, [0x5000]; HLT
    var guest = try TinyGuest(
      [0xA0, 0x00, 0x20, 0xA0, 0x00, 0x50, 0xF4], options: .logsDirtyPages)
    #expect(try guest.vcpu.run() == .halt)
    #expect(try guest.dirtyPages() == [])
  }

  @Test func thisProcessesWritesAreNotLogged() throws {
    let guest = try guest(writing: [], protects: false)
    guest.memory.store([1], at: 0x5000)
    #expect(try guest.dirtyPages() == [])
  }

  @Test func withoutManualProtectReadingResets() throws {
    var guest = try guest(writing: [3, 70], protects: false)
    #expect(try guest.vcpu.run() == .halt)
    #expect(try guest.dirtyPages() == [3, 70])
    #expect(try guest.dirtyPages() == [])
    try guest.restart()
    #expect(try guest.vcpu.run() == .halt)
    #expect(try guest.dirtyPages() == [3, 70])
  }

  @Test func theWordCountMustFit() throws {
    let guest = try guest(writing: [], protects: false)
    for count in [0, 1, 3] {
      var words = [UInt64](repeating: 0, count: count)
      let error = #expect(throws: KVMError.self) {
        var span = words.mutableSpan
        try guest.machine.readDirtyLog(of: guest.slot, into: &span)
      }
      #expect(
        error
          == .invalidArgument(
            "dirty log of slot 0, GPA 0x0, 409600 bytes: \(count) words given, 2 needed"))
    }
  }

  @Test func aSlotWithoutLoggingHasNoLog() throws {
    let guest = try TinyGuest([0xF4])
    let error = try #require(throws: KVMError.self) { _ = try guest.dirtyPages() }
    #expect(
      "\(error)" == "KVM_GET_DIRTY_LOG slot 0, GPA 0x0, 65536 bytes:"
        + " No such file or directory (ENOENT); is logging on for this slot?")
  }
}

@Suite(
  .enabled(if: KVMDevice.isUsable, "needs read-write /dev/kvm"),
  .enabled(
    if: KVMDevice.hasManualDirtyLogProtect, "needs KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2"),
  .serialized, .timeLimit(.minutes(10)))
struct ManualDirtyLogTests {
  private func guest(writing pages: [Int]) throws -> TinyGuest {
    try TinyGuest(
      DirtyLogTests.writing(to: pages), pageCount: 100, options: .logsDirtyPages
    ) { machine in
      try #require(try machine.enableManualDirtyLogProtect())
    }
  }

  @Test func readingKeepsTheLog() throws {
    var guest = try guest(writing: [3, 70])
    #expect(try guest.dirtyPages() == [])
    #expect(try guest.vcpu.run() == .halt)
    #expect(try guest.dirtyPages() == [3, 70])
    #expect(try guest.dirtyPages() == [3, 70])
  }

  @Test func clearingForgetsTheNamedPagesOnly() throws {
    var guest = try guest(writing: [0, 3, 63, 64, 99])
    #expect(try guest.vcpu.run() == .halt)
    try guest.machine.clearDirtyLog(of: guest.slot, firstPage: 0, pageCount: 64)
    #expect(try guest.dirtyPages() == [64, 99])
    try guest.machine.clearDirtyLog(of: guest.slot, firstPage: 64, pageCount: 36)
    #expect(try guest.dirtyPages() == [])
  }

  @Test func aWriteAfterClearingIsSeenAgain() throws {
    var guest = try guest(writing: [3, 70])
    for _ in 0..<3 {
      try guest.restart()
      #expect(try guest.vcpu.run() == .halt)
      #expect(try guest.dirtyPages() == [3, 70])
      try guest.machine.clearDirtyLog(of: guest.slot, firstPage: 0, pageCount: 100)
      #expect(try guest.dirtyPages() == [])
    }
  }

  @Test(arguments: [(1, 64), (0, 63), (64, 64)] as [(UInt64, UInt32)])
  func clearingGoesByWholeWords(firstPage: UInt64, pageCount: UInt32) throws {
    let guest = try guest(writing: [])
    let error = try #require(throws: KVMError.self) {
      try guest.machine.clearDirtyLog(
        of: guest.slot, firstPage: firstPage, pageCount: pageCount)
    }
    let expected = """
      KVM_CLEAR_DIRTY_LOG slot 0, GPA 0x0, 409600 bytes, pages \(firstPage)+\(pageCount): Invalid \
      argument (EINVAL); page numbers go by 64, and manual protect must be on
      """
    #expect("\(error)" == expected)
  }

  /// The pages that are set in `words` when the log of a guest that wrote page 3 is added.
  private func added(to words: [UInt64], pageCount: Int) throws -> [UInt64] {
    // mov [0x3000], al; hlt
    var guest = try TinyGuest(
      [0xA2, 0x00, 0x30, 0xF4], pageCount: pageCount, options: .logsDirtyPages
    ) { _ = try $0.enableManualDirtyLogProtect() }
    #expect(try guest.vcpu.run() == .halt)
    var words = words
    var span = words.mutableSpan
    try guest.machine.addDirtyLog(of: guest.slot, to: &span)
    return words
  }

  @Test func theLogIsAddedToWhatIsSet() throws {
    let code: UInt64 = 1 << (TinyGuest.codeAddress / 4096)
    let written: UInt64 = 1 << 3
    // The page of the code may be logged too, see `TinyGuest.dirtyPages`.
    #expect(try added(to: [0], pageCount: 16).map { $0 & ~code } == [written])
    #expect(try added(to: [1 << 9], pageCount: 16).map { $0 & ~code } == [written | 1 << 9])
    // Bits above the slot's 16 pages stay, with and without others.
    #expect(
      try added(to: [~0 << 16], pageCount: 16).map { $0 & ~code } == [~0 << 16 | written])
    #expect(
      try added(to: [0, 1], pageCount: 80).map { $0 & ~code } == [written, 1])
    #expect(try added(to: [0, ~0 << 16], pageCount: 80)[1] == ~0 << 16)
    #expect(try added(to: [0, 0], pageCount: 128).map { $0 & ~code } == [written, 0])
  }
}
