import DeviceKit
import Devices
import Foundation
import VMM

/// A machine of the library `VMM`: its vCPU threads, tracking and Hyper-V transport; a program and
/// two devices of one's own.
@main
struct WholeMachine {
  /// mov al,'H'; out 0xE9,al; mov al,'i'; out 0xE9,al; mov al,'\n'; out 0xE9,al; mov al,7; out
  /// 0xF4,al
  static let program: [UInt8] = [
    0xB0, 0x48, 0xE6, 0xE9, 0xB0, 0x69, 0xE6, 0xE9, 0xB0, 0x0A, 0xE6, 0xE9, 0xB0, 0x07, 0xE6, 0xF4,
  ]

  static func main() throws {
    let control = MachineControl()
    var configuration = MachineConfiguration(program: program, memoryByteCount: 64 << 20)
    configuration.portDevices = [
      (DebugConsole.ports, DebugConsole { FileHandle.standardOutput.write(Data([$0])) }),
      (ExitPort.ports, ExitPort { control.end(with: .exited(status: $0)) }),
    ]
    let machine = try Machine(configuration, control: control) { event in
      print("vCPU \(event.vcpuID): \(event.outcome.result.status)")
    }
    guard case .exited(let status) = machine.run() else { return }
    print("the guest exited with \(status)")
  }
}
