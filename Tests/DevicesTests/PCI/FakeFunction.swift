import HostSystem
import TestSupport

@testable import DeviceKit
@testable import Devices

/// A function with BARs that answers each read with its name and offset, and records writes.
final class FakeFunction: PCIFunction {
  let endpoint: PCIEndpoint
  let name: UInt64
  let writes = Recorder<[UInt64]>()
  let changes = Recorder<Bool>()
  let resets = Recorder<Bool>()
  private let isBusy = Guarded(false)

  /// - Parameters:
  ///   - isExpress: has the capabilities of power management, at 0x40, and PCI Express, at 0x48.
  ///   - add: adds what else there is.
  init(
    name: UInt64 = 0xA, bars: [PCIBAR] = [], interruptPin: UInt8 = 1, isExpress: Bool = false,
    context: PCIContext = PCIContext(), add: (inout PCIConfigurationSpace) -> Void = { _ in }
  ) {
    var space = PCIConfigurationSpace(
      identity: PCIIdentity(vendor: 0x1234, device: 0x5678, revision: 9, classCode: 0x01_0802),
      interruptPin: interruptPin)
    for bar in bars { space.addBAR(bar) }
    if isExpress {
      space.addPowerManagement()
      space.addExpressEndpoint()
    }
    add(&space)
    endpoint = PCIEndpoint(space, context: context)
    self.name = name
  }

  func readBAR(_ index: Int, offset: UInt64, width: Int) -> UInt64 {
    name << 32 | UInt64(index) << 24 | offset
  }

  func writeBAR(_ index: Int, offset: UInt64, width: Int, value: UInt64) {
    writes.append([UInt64(index), offset, UInt64(width), value])
  }

  var hasTransactionsPending: Bool { isBusy.withLock { $0 } }

  func setBusy(_ isBusy: Bool) { self.isBusy.withLock { $0 = isBusy } }

  /// It ends when a test ends it.
  func functionLevelReset() { resets.append(true) }

  func configurationChanged() {
    changes.append(true)
  }
}
