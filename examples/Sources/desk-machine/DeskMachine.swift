import DeviceKit
import Devices
import Foundation
import MachineSpecification
import VMM

/// A PC of the library `VMM` with a screen and a network card, whose far ends are this program: it
/// takes pictures of the screen, and is the only other host of the network.
@main
struct DeskMachine {
  static func main() throws {
    let arguments = CommandLine.arguments.dropFirst()
    guard arguments.count == 3, let display = DisplaySpec(width: 1024, height: 768) else {
      print("usage: desk-machine KERNEL INITRD PICTURE.bmp")
      exit(2)
    }
    let paths = Array(arguments)
    let camera = Camera(path: paths[2])
    let host = EchoHost()

    var configuration = MachineConfiguration(
      .linux(
        LinuxGuest(
          kernel: try BootFile(path: paths[0], role: "kernel"),
          initrd: try BootFile(path: paths[1], role: "initrd"),
          commandLine: "console=ttyS0 quiet panic=-1")),
      memoryByteCount: 512 << 20)
    configuration.computer.serialOutput = { FileHandle.standardOutput.write(Data([$0])) }
    configuration.computer.display = display
    configuration.computer.networks = [
      NetworkConfiguration(.e1000e, address: [0x52, 0x54, 0, 0x12, 0x34, 0x56], backend: host)
    ]
    // The guest asks for a picture by a byte to port 0xE9.
    configuration.portDevices = [
      (DebugConsole.ports, DebugConsole { _ in camera.takePicture() })
    ]

    let machine = try Machine(configuration, control: MachineControl())
    camera.point(at: machine.computer?.display)
    let outcome = machine.run()
    print("\(outcome), \(camera.finish()) pictures, \(host.answerCount) frames answered")
  }
}
