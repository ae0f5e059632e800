import DeviceKit
import Foundation
import Glibc
import HostSystem
import Sandbox
import Synchronization
import TestSupport
import Testing

@testable import Devices

/// The client of an emulator, with peers that behave, stall, end and answer wrongly.
@Suite(.timeLimit(.minutes(10))) struct TPMEmulatorTests {
  private static let selfTest: [UInt8] = [0x80, 1, 0, 0, 0, 11, 0, 0, 1, 0x43, 1]
  private static let success: [UInt8] = [0x80, 1, 0, 0, 0, 10, 0, 0, 0, 0]

  private let failures = Recorder<String>()

  private func emulator(_ fake: FakeTPMEmulator) throws -> TPMEmulator {
    try TPMEmulator(control: FileDescriptor(taking: fake.control), name: "fake") {
      [failures] in failures.append($0)
    }
  }

  @Test("it is set up, powered on, and probed; a power-on of one that was asked nothing is free")
  func setUp() throws {
    let fake = try FakeTPMEmulator()
    let emulator = try emulator(fake)
    emulator.begin()
    emulator.restart()
    #expect(fake.requests.values == [0x01, 0x10, 0x11, 0x02])
    #expect(fake.commands.values.map { Array($0[6..<10]) } == [[0, 0, 1, 0x7A]])
  }

  @Test("a command is answered; then a power-on stops, sets the buffer and initialises")
  func answer() throws {
    let long = [0x80, 1, 0, 0, 0x0F, 0x80] + [UInt8](repeating: 7, count: 0xF7A)
    let fake = try FakeTPMEmulator(answer: { $0 == 1 ? .send(long) : nil })
    let emulator = try emulator(fake)
    // What a thread of the program does, under its filter.
    let answers = Mutex<[[UInt8]?]>([])
    var policy = SandboxPolicy()
    policy.hasTPM = true
    let done = TestSemaphore()
    emulator.begin()
    TestThreads.start { [policy] in
      ThreadFilter.enter(.tpm, policy)
      emulator.restart()
      let first = emulator.answer(Self.selfTest)
      emulator.restart()
      let second = emulator.answer(Self.selfTest)
      answers.withLock { $0 = [first, second] }
      done.signal()
    }
    done.wait()
    #expect(answers.withLock { $0 } == [long, FakeTPMEmulator.notStarted])
    #expect(fake.requests.values == [0x01, 0x10, 0x11, 0x02, 0x0E, 0x11, 0x02])
    #expect(fake.commands.values.dropFirst() == [Self.selfTest, Self.selfTest])
    #expect(failures.values == [])
  }

  @Test(
    "one that cannot be used is refused",
    arguments: [
      (0x01, .send([0, 0, 0, 0, 0, 0, 0, 1]), "lacks what a TPM needs"),
      (0x10, .send([0, 0, 0, 0x0A]), "answers SET_DATAFD with the error 0xa"),
      (0x11, .send([0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0]), "has a buffer of 4096"),
      (0x02, .send([0, 0, 0, 9]), "answers INIT with the error 0x9"),
      (0x02, .end, "has ended"),
    ] as [(UInt32, FakeTPMEmulator.Act, String)])
  func refused(code: UInt32, act: FakeTPMEmulator.Act, fault: String) throws {
    let fake = try FakeTPMEmulator(reply: { $0 == code ? act : nil })
    let error = try #require(throws: TPMEmulatorError.self) { try emulator(fake) }
    #expect("\(error)".hasPrefix("the TPM emulator fake \(fault)"), "\(error)")
  }

  @Test("a TPM 1.2 is refused")
  func oldTPM() throws {
    let fake = try FakeTPMEmulator(answer: { _ in .send([0, 0xC4, 0, 0, 0, 10, 0, 0, 0, 3]) })
    let error = try #require(throws: TPMEmulatorError.self) { try emulator(fake) }
    #expect("\(error)".hasSuffix("emulates a TPM 1.2; start it with --tpm2"), "\(error)")
  }

  @Test(
    "a broken answer ends its use: every command fails from then on, and it is said once",
    arguments: [
      (.end, "has ended"),
      (.send([0x80, 1, 0, 0, 0, 9, 0, 0, 0, 0]), "answers with 9 bytes"),
      (.send([0x80, 1, 0, 0, 0x0F, 0x81, 0, 0, 0, 0]), "answers with 3969 bytes"),
      (.send([0x80, 1, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0]), "answers with 4294967295 bytes"),
    ] as [(FakeTPMEmulator.Act, String)])
  func broken(act: FakeTPMEmulator.Act, fault: String) throws {
    let fake = try FakeTPMEmulator(answer: { $0 == 1 ? act : nil })
    let emulator = try emulator(fake)
    #expect(emulator.answer(Self.selfTest) == nil)
    #expect(emulator.answer(Self.selfTest) == nil)
    emulator.begin()
    emulator.restart()
    emulator.shutDown()
    #expect(
      failures.values == [
        "the TPM emulator fake \(fault); the guest's TPM fails from now on"
      ])
    #expect(fake.commands.values.count == 2)
  }

  @Test("one that stalls is given up when its time is over", arguments: [0, 6, 10, 12])
  func stalls(byteCount: Int) throws {
    let response: [UInt8] = [0x80, 1, 0, 0, 0, 14, 0, 0, 0, 0, 1, 2]
    let fake = try FakeTPMEmulator(answer: {
      $0 == 1 ? byteCount == 0 ? .nothing : .send(Array(response.prefix(byteCount))) : nil
    })
    let emulator = try emulator(fake)
    emulator.setPatience(seconds: 0)
    #expect(emulator.answer(Self.selfTest) == nil)
    #expect(failures.values.count == 1)
    #expect(failures.values.first?.contains("does not answer") == true)
  }

  @Test("what it says unasked is no answer to the next command")
  func unasked() throws {
    let fake = try FakeTPMEmulator(answer: { $0 == 1 ? .send(Self.success + [0xFF]) : nil })
    let emulator = try emulator(fake)
    #expect(emulator.answer(Self.selfTest) == Self.success)
    #expect(emulator.answer(Self.selfTest) == nil)
    #expect(failures.values.first?.contains("answered what it was not asked") == true)
  }

  @Test("end does not wait for an answer; the next power-on reads it before anything else")
  func end() throws {
    let isAsked = TestSemaphore()
    let mayAnswer = TestSemaphore()
    let fake = try FakeTPMEmulator(answer: {
      guard $0 == 1 else { return nil }
      isAsked.signal()
      mayAnswer.wait()
      return .send(Self.success)
    })
    let emulator = try emulator(fake)
    emulator.begin()
    let answered = Recorder<[UInt8]?>()
    let isOver = TestSemaphore()
    TestThreads.start {
      answered.append(emulator.answer(Self.selfTest))
      isOver.signal()
    }
    isAsked.wait()
    emulator.end()
    isOver.wait()
    #expect(answered.values == [nil])
    mayAnswer.signal()
    emulator.begin()
    emulator.restart()
    #expect(emulator.answer(Self.selfTest) == FakeTPMEmulator.notStarted)
    #expect(fake.requests.values == [0x01, 0x10, 0x11, 0x02, 0x0E, 0x11, 0x02])
    #expect(failures.values == [])
  }

  @Test("a cancellation is sent once for each command, and its replies do not pile up")
  func cancellation() throws {
    let fake = try FakeTPMEmulator(
      answer: { number in
        // Only the first is told to cancel while it is being answered.
        number == 1 ? .nothing : nil
      })
    let emulator = try emulator(fake)
    emulator.setCancels(true)
    let isOver = TestSemaphore()
    let answered = Recorder<[UInt8]?>()
    TestThreads.start {
      answered.append(emulator.answer(Self.selfTest))
      isOver.signal()
    }
    try waitUntil { fake.requests.values.count == 5 }
    #expect(fake.requests.values.last == 0x09)
    emulator.end()
    isOver.wait()
    #expect(answered.values == [nil])
    emulator.setCancels(false)
    #expect(failures.values == [])
  }

  @Test("shutDown asks for it, waits for the end, and nothing is asked any more")
  func shutDown() throws {
    let fake = try FakeTPMEmulator(reply: { $0 == 0x03 ? .end : nil })
    let emulator = try emulator(fake)
    emulator.end()
    emulator.shutDown()
    emulator.shutDown()
    #expect(emulator.answer(Self.selfTest) == nil)
    #expect(fake.requests.values == [0x01, 0x10, 0x11, 0x02, 0x03])
    #expect(failures.values == [])
  }
}

/// The state of the TPM itself, which is the emulator's.
@Suite(.timeLimit(.minutes(10))) struct TPMEmulatorStateTests {
  private let failures = Recorder<String>()

  private func emulator(_ fake: FakeTPMEmulator) throws -> TPMEmulator {
    try TPMEmulator(control: FileDescriptor(taking: fake.control), name: "fake") {
      [failures] in failures.append($0)
    }
  }

  private func save(_ emulator: TPMEmulator) throws -> [UInt8] {
    var transfer = StateTransfer()
    try emulator.transferState(&transfer)
    return transfer.bytes
  }

  private func restore(_ bytes: [UInt8], into emulator: TPMEmulator) throws {
    var transfer = StateTransfer(restoring: bytes)
    try emulator.transferState(&transfer)
    try transfer.finish()
  }

  @Test("three parts are read, and written to another, which is not powered on then")
  func moves() throws {
    let (first, second) = (try FakeTPMEmulator(), try FakeTPMEmulator())
    let bytes = try save(try emulator(first))
    #expect(first.requests.values == [0x01, 0x10, 0x11, 0x02, 0x0C, 0x0C, 0x0C])
    let new = try emulator(second)
    // As after the machine before.
    new.end()
    try restore(bytes, into: new)
    new.begin()
    new.restart()
    #expect(
      second.requests.values
        == [0x01, 0x10, 0x11, 0x02, 0x0E, 0x0D, 0x0D, 0x0D, 0x11, 0x02])
    let bodies = second.bodies.values
    for kind in 1...3 as ClosedRange<UInt8> {
      #expect(
        bodies[4 + Int(kind)] == [0, 0, 0, 2, 0, 0, 0, kind, 0, 0, 0, kind]
          + [UInt8](repeating: 0xA0 + kind, count: Int(kind)))
    }
    #expect(bodies.last == [0, 0, 0, 0], "volatile state is kept")
    #expect(try save(new) == bytes)
    // A reset, before which nothing was asked, is a power-on all the same.
    let requestCount = second.requests.values.count
    new.restart()
    #expect(second.requests.values[requestCount...] == [0x0E, 0x11, 0x02])
    #expect(second.bodies.values.last == [0, 0, 0, 1] && failures.values.isEmpty)
  }

  @Test(
    "one that waits is not powered on; while another has the files it tries again",
    arguments: [0, 3])
  func waits(refusalCount: Int) throws {
    let bytes = try save(try emulator(try FakeTPMEmulator()))
    let left = Guarded(refusalCount)
    let fake = try FakeTPMEmulator(reply: { code in
      guard code == 0x02 else { return nil }
      return left.withLock { left in
        left -= 1
        return left >= 0 ? .send([0, 0, 0, 9]) : nil
      }
    })
    let new = try TPMEmulator(
      control: FileDescriptor(taking: fake.control), name: "fake", waits: true
    ) { [failures] in failures.append($0) }
    #expect(new.isWaiting && fake.requests.values == [0x01, 0x10] && fake.commands.values == [])
    try restore(bytes, into: new)
    let attempt: [UInt32] = [0x0E, 0x0D, 0x0D, 0x0D, 0x11, 0x02]
    let attempts = Array(repeating: attempt, count: refusalCount + 1).flatMap { $0 }
    #expect(fake.requests.values == [0x01, 0x10] + attempts)
    #expect(!new.isWaiting && failures.values == [])
  }

  @Test(
    "an emulator that answers wrongly is refused",
    arguments: [
      (0x0C, [0, 0, 0, 9] + [UInt8](repeating: 0, count: 12)),
      (0x0C, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 1, 0, 0x10, 0, 1]),
      (0x0C, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1]), (0x0D, [0, 0, 0, 9]),
    ] as [(UInt32, [UInt8])])
  func refused(code: UInt32, reply: [UInt8]) throws {
    let bytes = try save(try emulator(try FakeTPMEmulator()))
    let fake = try FakeTPMEmulator(reply: { $0 == code ? .send(reply) : nil })
    let emulator = try emulator(fake)
    #expect(throws: StateError.self) {
      if code == 0x0C { _ = try save(emulator) } else { try restore(bytes, into: emulator) }
    }
    #expect(failures.values.count == 1)
  }

  @Test("one that cannot do it says so, and goes on")
  func unsupported() throws {
    let fake = try FakeTPMEmulator(reply: {
      $0 == 1 ? .send([0, 0, 0, 0, 0, 0, 0x34, 0x23]) : nil
    })
    let emulator = try emulator(fake)
    #expect(throws: StateError.unsupported("the TPM of fake")) { try save(emulator) }
    #expect(emulator.answer([0x80, 1, 0, 0, 0, 10, 0, 0, 0, 0]) == FakeTPMEmulator.notStarted)
  }
}

/// The same with the emulator itself.
@Suite(
  .enabled(if: ChildProcess.find("swtpm") != nil, "needs swtpm"), .timeLimit(.minutes(10)))
struct SoftwareTPMTests {
  private static let startUp: [UInt8] = [0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x44, 0, 0]
  private static let selfTest: [UInt8] = [0x80, 1, 0, 0, 0, 11, 0, 0, 1, 0x43, 1]
  private static let success: [UInt8] = [0x80, 1, 0, 0, 0, 10, 0, 0, 0, 0]
  private static let notStarted: [UInt8] = [0x80, 1, 0, 0, 0, 10, 0, 0, 1, 0]
  /// *TPM2_PCR_Extend* of PCR 0 with an empty password, one SHA-256 digest.
  private static let extend: [UInt8] =
    [0x80, 2, 0, 0, 0, 65, 0, 0, 1, 0x82, 0, 0, 0, 0, 0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 0, 0, 0]
    + [0, 0, 0, 1, 0, 0x0B] + [UInt8](repeating: 0x5A, count: 32)
  /// *TPM2_PCR_Read*
  private static let read: [UInt8] = [
    0x80, 1, 0, 0, 0, 20, 0, 0, 1, 0x7E, 0, 0, 0, 1, 0, 0x0B, 3, 1, 0, 0,
  ]

  private let directory = FileManager.default.temporaryDirectory
    .appending(path: "tpm-\(UUID().uuidString)")
  private let failures = Recorder<String>()

  private func start() throws -> SoftwareTPM {
    try SoftwareTPM(directory: HostPath(directory.path)) { [failures] in failures.append($0) }
  }

  @Test("the directory is made; start-up, self test, reset, end")
  func life() throws {
    defer { try? FileManager.default.removeItem(at: directory) }
    let tpm = try start()
    let emulator = tpm.emulator
    emulator.begin()
    emulator.restart()
    #expect(emulator.answer(Self.selfTest) == Self.notStarted)
    #expect(emulator.answer(Self.startUp) == Self.success)
    #expect(emulator.answer(Self.selfTest) == Self.success)
    emulator.end()
    emulator.begin()
    emulator.restart()
    #expect(emulator.answer(Self.selfTest) == Self.notStarted)
    #expect(emulator.answer(Self.startUp) == Self.success)
    emulator.end()
    tpm.stop()
    #expect(tpm.process.wait(seconds: 300) == .exited(status: 0))
    #expect(failures.values == [])
    // Only this user reads the state.
    let attributes = try FileManager.default.attributesOfItem(atPath: directory.path)
    #expect(attributes[.posixPermissions] as? Int == 0o700)
  }

  @Test("what was measured, and is lost with the power, is there in another emulator")
  func movesState() throws {
    let other = FileManager.default.temporaryDirectory.appending(path: "tpm-\(UUID().uuidString)")
    defer {
      try? FileManager.default.removeItem(at: directory)
      try? FileManager.default.removeItem(at: other)
    }
    let first = try start()
    first.emulator.begin()
    first.emulator.restart()
    #expect(first.emulator.answer(Self.startUp) == Self.success)
    #expect(first.emulator.answer(Self.extend)?.prefix(2) == [0x80, 2])
    let measured = try #require(first.emulator.answer(Self.read))
    #expect(measured.count > 40)
    var saving = StateTransfer()
    try first.emulator.transferState(&saving)
    // It goes on, too.
    #expect(first.emulator.answer(Self.read) == measured)
    first.stop()
    let second = try SoftwareTPM(directory: HostPath(other.path)) { [failures] in
      failures.append($0)
    }
    var restoring = StateTransfer(restoring: saving.bytes)
    try second.emulator.transferState(&restoring)
    try restoring.finish()
    second.emulator.begin()
    second.emulator.restart()
    #expect(second.emulator.answer(Self.read) == measured)
    #expect(second.emulator.answer(Self.selfTest) == Self.success)
    second.emulator.end()
    second.stop()
    #expect(failures.values == [])
  }

  private func passable(isReceived: Bool = false, mayMove: Bool = true) throws -> PassableTPM {
    try PassableTPM(
      directory: HostPath(directory.path), isReceived: isReceived, mayMove: mayMove
    ) { [failures] in failures.append($0) }
  }

  /// As of the thread on which a machine moves.
  private func confined() -> RoleThread {
    var policy = SandboxPolicy()
    (policy.servesControl, policy.migrates, policy.hasTPM) = (true, true, true)
    return RoleThread(.service, policy: policy)
  }

  private func save(_ tpm: PassableTPM) throws -> [UInt8] {
    var transfer = StateTransfer()
    try tpm.transferState(&transfer)
    return transfer.bytes
  }

  /// - Returns: what it has measured.
  private func measure(_ tpm: PassableTPM) throws -> [UInt8] {
    tpm.begin()
    tpm.restart()
    #expect(tpm.answer(Self.startUp) == Self.success)
    #expect(tpm.answer(Self.extend)?.prefix(2) == [0x80, 2])
    return try #require(tpm.answer(Self.read))
  }

  @Test("a TPM goes from machine to machine with its files, and a reset there is a power-on")
  func passesOn() throws {
    defer { try? FileManager.default.removeItem(at: directory) }
    var tpm = try passable()
    let measured = try measure(tpm)
    let thread = confined()
    for _ in 0..<3 {
      let next = try passable(isReceived: true)
      #expect(throws: TPMEmulatorError.inUse(directory: directory.path)) { try next.takeUp() }
      let bytes = try save(tpm)
      #expect(tpm.obstacle == nil)
      thread.run { [tpm] in tpm.letGo() }
      try next.takeUp()
      thread.run { [tpm] in
        #expect(throws: TPMEmulatorError.inUse(directory: directory.path)) { try tpm.takeUp() }
        return
      }
      var transfer = StateTransfer(restoring: bytes)
      try next.transferState(&transfer)
      try transfer.finish()
      next.begin()
      next.restart()
      #expect(next.answer(Self.read) == measured)
      tpm.stop()
      tpm = next
    }
    tpm.restart()
    #expect(tpm.answer(Self.selfTest) == Self.notStarted)
    tpm.stop()
    // Nobody has the files any more.
    try start().stop()
    #expect(failures.values == [])
  }

  @Test(
    "one that is let go and taken back goes on, and says that it cannot again",
    arguments: [false, true])
  func takenBack(wasTakenUp: Bool) throws {
    defer { try? FileManager.default.removeItem(at: directory) }
    let tpm = try passable()
    let measured = try measure(tpm)
    let thread = confined()
    thread.run { tpm.letGo() }
    if wasTakenUp {
      let other = try passable(isReceived: true, mayMove: false)
      try other.takeUp()
      other.letGo()
      other.stop()
    }
    thread.run {
      #expect(throws: Never.self) { try tpm.takeUp() }
      return
    }
    #expect(tpm.answer(Self.read) == measured)
    let obstacle = try #require(tpm.obstacle)
    #expect(obstacle.hasPrefix("the TPM's directory \(directory.path) was let go before"))
    // The guest resets.
    tpm.end()
    tpm.begin()
    tpm.restart()
    #expect(tpm.answer(Self.selfTest) == Self.notStarted)
    tpm.stop()
    #expect(failures.values == [])
  }

  @Test(
    "where either emulator has died the guest's commands fail, and the machine goes on",
    arguments: [false, true])
  func oneHasDied(isSpare: Bool) throws {
    defer { try? FileManager.default.removeItem(at: directory) }
    let tpm = try passable()
    _ = try measure(tpm)
    let victim = isSpare ? tpm.spare : tpm.program
    victim?.process.stop(seconds: 300)
    tpm.letGo()
    try tpm.takeUp()
    #expect(tpm.answer(Self.read) == nil && failures.values.count == 1)
    // Not even after a reset is there a TPM that begins anew.
    tpm.restart()
    #expect(tpm.answer(Self.startUp) == nil)
    tpm.stop()
  }

  @Test("a second use of the directory is refused until the first ends")
  func lock() throws {
    defer { try? FileManager.default.removeItem(at: directory) }
    let first = try start()
    let error = try #require(throws: TPMEmulatorError.self) { try start() }
    #expect("\(error)" == "the TPM's directory \(directory.path) is in use by another machine")
    first.stop()
    try start().stop()
  }

  @Test("a state that is none of its own is refused, and stays as it is")
  func brokenState() throws {
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: directory) }
    let file = directory.appending(path: "tpm2-00.permall")
    try Data("no state".utf8).write(to: file)
    let error = try #require(throws: TPMEmulatorError.self) { try start() }
    #expect(
      "\(error)".hasPrefix(
        "the TPM emulator swtpm with its state in \(directory.path) answers INIT with the error"))
    #expect(try Data(contentsOf: file) == Data("no state".utf8))
  }

  @Test("one that is killed fails every command, and is a line")
  func killed() throws {
    defer { try? FileManager.default.removeItem(at: directory) }
    let tpm = try start()
    tpm.emulator.begin()
    tpm.process.stop(seconds: 300)
    #expect(tpm.emulator.answer(Self.startUp) == nil)
    #expect(failures.values.count == 1)
    tpm.stop()
  }

  @Test("one that listens is joined; where none does it is said")
  func joined() throws {
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: directory) }
    let path = directory.appending(path: "control").path
    let error = try #require(throws: TPMEmulatorError.self) {
      try TPMEmulator(joining: HostPath(path)) { _ in }
    }
    #expect(
      "\(error)"
        == "cannot connect to the TPM emulator at \(path): No such file or directory (ENOENT)")
    let swtpm = try #require(ChildProcess.find("swtpm"))
    let process = try ChildProcess(
      swtpm,
      [
        "socket", "--tpm2", "--tpmstate", "dir=\(directory.path)", "--ctrl",
        "type=unixio,path=\(path)",
      ], output: .nothing)
    try waitUntil(seconds: 300) { FileManager.default.fileExists(atPath: path) }
    // The file is there before it listens.
    var emulator: TPMEmulator?
    try waitUntil(seconds: 300) {
      emulator = try? TPMEmulator(joining: HostPath(path)) { _ in }
      return emulator != nil
    }
    #expect(emulator?.answer(Self.startUp) == Self.success)
    emulator?.shutDown()
    #expect(process.wait(seconds: 300) == .exited(status: 0))
  }
}
