import Testing

@testable import DeviceKit
@testable import Devices

/// Mistakes of the VMM's own.
@Suite struct PCITrapTests {
  @Test("a place taken twice")
  func placeTwice() async {
    await #expect(processExitsWith: .failure) {
      let address = PCIAddress(device: 1)
      _ = PCIHost([(address, FakeFunction()), (address, FakeFunction())])
    }
  }

  @Test("a function without function 0")
  func functionZero() async {
    await #expect(processExitsWith: .failure) {
      _ = PCIHost([(PCIAddress(device: 1, function: 1), FakeFunction())])
    }
  }

  @Test("a window that is too small")
  func window() async {
    await #expect(processExitsWith: .failure) {
      let function = FakeFunction(bars: [PCIBAR(index: 0, byteCount: 0x2000)])
      PCIHost([(PCIAddress(device: 1), function)]).assignResources(
        window: 0x1000..<0x3000, ports: 0..<0)
    }
  }

  @Test("BARs that PCI does not know, or that share a register")
  func bars() async {
    await #expect(processExitsWith: .failure) { _ = PCIBAR(index: 5, byteCount: 16, is64Bit: true) }
    await #expect(processExitsWith: .failure) { _ = PCIBAR(index: 0, byteCount: 24) }
    await #expect(processExitsWith: .failure) {
      _ = FakeFunction(bars: [
        PCIBAR(index: 0, byteCount: 16, is64Bit: true), PCIBAR(index: 1, byteCount: 16),
      ])
    }
  }
}
