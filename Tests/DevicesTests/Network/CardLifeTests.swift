import DeviceKit
import GuestMemory
import Testing

@testable import Devices

/// What all network cards do with the far end of their cable.
@Suite struct CardLifeTests {
  private static let address: [UInt8] = [0x52, 0x54, 0, 1, 2, 3]

  /// A kind of card.
  struct Kind: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let make: @Sendable (TestCable, PCIContext) -> any PCIFunction

    static let all = [
      Kind(testDescription: "e1000e") { cable, context in
        E1000EController(address: address, backend: cable, context: context)
      },
      Kind(testDescription: "virtio") { cable, context in
        VirtioPCIDevice.network(cable, address: address, context: context)
      },
    ]
  }

  @Test(
    "after a reset the cable is the next card's: the end of the one before leaves it alone",
    arguments: Kind.all)
  func nextCard(kind: Kind) throws {
    let memory = try GuestMemory(layout: GuestMemoryLayout(ramByteCount: 1 << 20))
    let cable = TestCable(maximumFrameByteCount: 65_535)
    var first: (any PCIFunction)? = kind.make(cable, PCIContext(memory: memory))
    try first?.start()
    first?.stop()
    #expect(cable.isStopped)
    let second = kind.make(cable, PCIContext(memory: memory))
    try second.start()
    first?.stop()
    #expect(!cable.isStopped)
    first = nil
    #expect(!cable.isStopped)
    second.stop()
    #expect(cable.isStopped)
  }
}
