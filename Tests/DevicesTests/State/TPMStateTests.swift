import DeviceKit
import HostSystem
import TestSupport
import Testing

@testable import Devices

/// A TPM's interface, saved and restored, with a back-end whose state is what it was asked last.
@Suite(.timeLimit(.minutes(10))) struct TPMStateTests {
  private final class RememberingTPM: TPMBackend {
    let last = Guarded<[UInt8]>([])
    let cancels = Guarded(false)

    func begin() {}
    func restart() {}
    func end() {}
    func setCancels(_ cancels: Bool) { self.cancels.withLock { $0 = cancels } }

    func answer(_ command: [UInt8]) -> [UInt8]? {
      last.withLock { last in
        defer { last = command }
        return last.isEmpty ? command : last
      }
    }

    func transferState(_ transfer: inout StateTransfer) throws(StateError) {
      try last.withLock { last throws(StateError) in
        try transfer.bytes(&last, maximumCount: TPMRegisters.bufferByteCount)
      }
    }
  }

  private static func command(_ mark: UInt8) -> [UInt8] {
    [0x80, 1, 0, 0, 0, 11, 0, 0, 1, 0x43, mark]
  }

  private static func start(_ command: [UInt8], on tpm: TPMInterface) {
    for (index, byte) in command.enumerated() {
      tpm.write(offset: 0x80 + UInt64(index), width: 1, value: UInt64(byte))
    }
    tpm.write(offset: 0x4C, width: 4, value: 1)
  }

  private static func answer(_ tpm: TPMInterface) throws -> [UInt8] {
    try waitUntil { tpm.read(offset: 0x4C, width: 4) == 0 }
    return (0..<11).map { UInt8(tpm.read(offset: 0x80 + $0, width: 1)) }
  }

  private func begin() throws -> TPMInterface {
    let tpm = TPMInterface(RememberingTPM())
    try tpm.start()
    tpm.write(offset: 0x08, width: 4, value: 1)
    tpm.write(offset: 0x40, width: 4, value: 1)
    Self.start(Self.command(1), on: tpm)
    #expect(try Self.answer(tpm) == Self.command(1))
    return tpm
  }

  private static func registers(_ tpm: TPMInterface) -> [UInt64] {
    stride(from: UInt64(0), to: 0x1000, by: 8).map { tpm.read(offset: $0, width: 8) }
  }

  @Test("a command that waits is answered, by what the TPM was")
  func moves() throws {
    let old = try begin()
    try old.pause()
    Self.start(Self.command(2), on: old)
    old.write(offset: 0x48, width: 4, value: 1)
    let backend = RememberingTPM()
    let new = TPMInterface(backend)
    defer { new.stop() }
    try StateHarness.move(old, to: new, registers: Self.registers) {
      #expect(new.read(offset: 0x4C, width: 4) == 1)
    }
    #expect(try Self.answer(new) == Self.command(1))
    #expect(backend.cancels.withLock { $0 } && new.read(offset: 0x48, width: 4) == 1)
    Self.start(Self.command(3), on: new)
    #expect(try Self.answer(new) == Self.command(2))
  }

  @Test("damaged state is refused, or does no harm")
  func damage() throws {
    let old = try begin()
    try old.pause()
    Self.start(Self.command(2), on: old)
    let bytes = try StateHarness.save(old)
    old.stop()
    let accepted = try StateHarness.damage(bytes) {
      TPMInterface(RememberingTPM())
    } drive: { tpm, generator in
      tpm.serve()
      for offset: UInt64 in [0x00, 0x08, 0x44, 0x4C, 0x58, 0x80, 0xFF8] {
        _ = tpm.read(offset: offset, width: 8)
      }
      Self.start(Self.command(.random(in: 0...255, using: &generator)), on: tpm)
      tpm.serve()
    }
    #expect(accepted > 100, "too little of it is driven")
  }

  @Test("a back-end that has no state to give says so")
  func unsupported() {
    final class Other: TPMBackend {
      func begin() {}
      func restart() {}
      func answer(_ command: [UInt8]) -> [UInt8]? { nil }
      func setCancels(_ cancels: Bool) {}
      func end() {}
    }
    #expect(throws: StateError.unsupported("a TPM of this kind")) {
      try StateHarness.save(TPMInterface(Other()))
    }
  }
}
