import Foundation
import GuestMemory
import HostSystem
import TestSupport
import Testing

@testable import Devices

/// A process that is killed (SIGKILL) in the middle of writes: its files are what the guest was
/// told.
@Suite(.timeLimit(.minutes(10))) struct KillTests {
  private static let template = variableVolume(blocks: 3)

  @Test(
    "flash: the file is the chip's contents after exactly the changes that were made",
    arguments: [(0, true), (0, false), (1, true), (1, false), (7, false), (42, true), (99, false)])
  func flash(step: Int, isBefore: Bool) async throws {
    let place = try ScratchDirectory()
    await #expect(processExitsWith: .signal(SIGKILL)) {
      [path = place.variables as String, step = step as Int, isBefore = isBefore as Bool] in
      let file = try VariableFile(path: path, template: Self.template)
      let store = LethalStore(
        file, initialBytes: file.initialBytes, step: step, isBefore: isBefore)
      try Self.change(store)
    }
    // The same changes by a store that only counts.
    let model = LethalStore(nil, initialBytes: Self.template, step: step, isBefore: isBefore)
    try Self.change(model)
    #expect(try place.contents == model.bytesAtStep)
    #expect(try place.names == ["vars.fd"])
    let again = try VariableFile(path: place.variables, template: Self.template)
    #expect(again.initialBytes == model.bytesAtStep)
  }

  /// A hundred changes and more, by a fixed seed; blocks after the header's.
  private static func change(_ store: LethalStore) throws {
    let chip = try FlashChip(store: store) { _ in }
    chip.reset { _ in }
    var generator = SeededGenerator(seed: 11)
    for _ in 0..<120 {
      let offset = 4096 + generator.next() % 8192
      if generator.next() % 10 == 0 {
        chip.erase(offset)
      } else {
        chip.program(UInt8(truncatingIfNeeded: generator.next()), at: offset)
      }
      if generator.next() % 4 == 0 { chip.write(offset: 0, width: 1, value: 0xFF) }
    }
  }

  @Test("a draft that a killed process left does not keep the next from making the file")
  func leftDraft() throws {
    let place = try ScratchDirectory()
    // As in a container, where the next process has the same number.
    for name in ["\(getpid()).new", "\(getpid()).0.new", "\(getpid()).1.new"] {
      try Data([1]).write(to: URL(filePath: "\(place.variables).\(name)"))
    }
    let file = try VariableFile(path: place.variables, template: Self.template)
    #expect(file.initialBytes == Self.template)
    #expect(try place.contents == Self.template)
    #expect(try place.names.count == 4)
  }

  @Test("disk: every write that was answered is in the image", arguments: [1, 20, 200])
  func disk(writeCount: Int) async throws {
    let image = try ImageFile([UInt8](repeating: 0, count: 1 << 20))
    let log = try ImageFile([])
    await #expect(processExitsWith: .signal(SIGKILL)) {
      [path = image.path as String, log = log.path as String, count = writeCount as Int] in
      let disk = try TestDisk(RawImageStore(path: path))
      let queue = try disk.makePair(1)
      let progress = try FileHandle(forWritingTo: URL(filePath: log))
      // Answers come in any order: each command has a buffer of its own.
      for sector in 0..<1000 {
        let buffer = 0x20_0000 + UInt64(sector % 32) * 4096
        try disk.memory.write(pattern(512, seed: UInt64(sector)), at: GPA(buffer))
        try queue.enqueue(.io(.write, UInt64(sector), 1, prp1: buffer))
        guard sector % 32 == 31 else { continue }
        queue.ring()
        for _ in 0..<32 {
          let done = try queue.wait().identifier
          progress.write(Data("\(done)\n".utf8))
          // The others are in flight.
          if Int(done) >= count { kill(getpid(), SIGKILL) }
        }
      }
    }
    let lines = String(decoding: try log.contents, as: UTF8.self).split(separator: "\n")
    let contents = try image.contents
    #expect(!lines.isEmpty)
    for line in lines {
      let sector = try #require(Int(line))
      #expect(
        contents[(sector * 512)..<(sector * 512 + 512)] == pattern(512, seed: UInt64(sector))[...],
        "sector \(sector)")
    }
  }
}

/// Kills the process at a step, before or after the write, or, without a file, notes what a file
/// would have then.
private final class LethalStore: FlashStore {
  private struct State: Sendable {
    var bytes: [UInt8]
    var writeCount = 0
    var bytesAtStep: [UInt8]?
  }

  let initialBytes: [UInt8]
  private let file: VariableFile?
  private let step: Int
  private let isBefore: Bool
  private let state: Guarded<State>

  init(_ file: VariableFile?, initialBytes: [UInt8], step: Int, isBefore: Bool) {
    self.file = file
    self.step = step
    self.isBefore = isBefore
    self.initialBytes = initialBytes
    state = Guarded(State(bytes: initialBytes))
  }

  var bytesAtStep: [UInt8]? { state.withLock { $0.bytesAtStep } }

  func write(_ bytes: [UInt8], at offset: Int) throws(FlashStoreError) {
    let number = state.withLock { $0.writeCount }
    if number == step, isBefore { end() }
    if let file { try file.write(bytes, at: offset) }
    state.withLock { state in
      state.bytes.replaceSubrange(offset..<(offset + bytes.count), with: bytes)
      state.writeCount += 1
    }
    if number == step, !isBefore { end() }
  }

  func flush() throws(FlashStoreError) {
    if let file { try file.flush() }
  }

  private func end() {
    if file != nil { kill(getpid(), SIGKILL) }
    state.withLock { $0.bytesAtStep = $0.bytes }
  }
}
