// swift-tools-version: 6.2
import PackageDescription

/// Every Swift target is built with the same, strict settings.
///
/// Warnings are errors only if VMM_RUN_STRICT=1 is in the environment, as scripts/test has it.
/// SwiftPM applies the setting to a dependency by path too (it does not to one by URL), and a newer
/// compiler has warnings that this code was never built with: they would end an embedder's build.
let strict: [SwiftSetting] =
  [
    .strictMemorySafety(),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
  ] + (Context.environment["VMM_RUN_STRICT"] == "1" ? [.treatAllWarnings(as: .error)] : [])

let package = Package(
  name: "vmm-run",
  products: [
    .library(name: "ACPI", targets: ["ACPI"]),
    .library(name: "ControlAPI", targets: ["ControlAPI"]),
    .library(name: "DeviceKit", targets: ["DeviceKit"]),
    .library(name: "Bytes", targets: ["Bytes"]),
    .library(name: "Devices", targets: ["Devices"]),
    .library(name: "GuestMemory", targets: ["GuestMemory"]),
    .library(name: "HostPages", targets: ["HostPages"]),
    .library(name: "HostSystem", targets: ["HostSystem"]),
    .library(name: "HyperVCore", targets: ["HyperVCore"]),
    .library(name: "KVM", targets: ["KVM"]),
    .library(name: "MachineSpecification", targets: ["MachineSpecification"]),
    .library(name: "RemoteFramebuffer", targets: ["RemoteFramebuffer"]),
    .library(name: "SMBIOS", targets: ["SMBIOS"]),
    .library(name: "ZeroTracker", targets: ["ZeroTracker"]),
    .library(name: "VMM", targets: ["VMM"]),
    .library(name: "Sandbox", targets: ["Sandbox"]),
    .library(name: "VMMCommand", targets: ["VMMCommand"]),
    .executable(name: "vmm-run", targets: ["vmm-run"]),
  ],
  targets: [
    // Pure modules: none imports anything of ours.
    .target(name: "Bytes", swiftSettings: strict),
    .target(name: "HyperVCore", swiftSettings: strict),
    .target(name: "ZeroTracker", swiftSettings: strict),

    // Tables as bytes.
    .target(name: "ACPI", dependencies: ["Bytes"], swiftSettings: strict),
    .target(name: "SMBIOS", dependencies: ["Bytes"], swiftSettings: strict),

    // What a machine is, as a value and as JSON.
    .target(
      name: "MachineSpecification", dependencies: ["HyperVCore", "SMBIOS", "ZeroTracker"],
      swiftSettings: strict),

    // What the control socket speaks: bytes and values, no socket.
    .target(name: "ControlAPI", dependencies: ["MachineSpecification"], swiftSettings: strict),

    // The kernel's ABI, and what wraps it.
    .target(name: "CKVM"),
    .target(
      name: "KVM", dependencies: ["Bytes", "CKVM", "HostSystem"], swiftSettings: strict),

    // What Swift cannot import from the kernel's headers, or cannot express.
    .target(name: "CLinux"),

    // What a process asks of its host: error numbers, open files, events, threads, locks, clocks.
    .target(name: "HostSystem", dependencies: ["CLinux"], swiftSettings: strict),

    // The command line, for the command alone: it runs code before main().
    .target(name: "CStart"),

    // What a process may still ask of the kernel once its guest runs.
    .target(
      name: "Sandbox", dependencies: ["CKVM", "CLinux", "HostSystem"], swiftSettings: strict),

    .target(name: "HostPages", dependencies: ["CKVM", "HostSystem"], swiftSettings: strict),
    .target(
      name: "GuestMemory",
      dependencies: ["Bytes", "CLinux", "HostPages", "HostSystem", "ZeroTracker"],
      swiftSettings: strict),
    // What device models are made of: buses, PCI, interrupts.
    .target(
      name: "DeviceKit", dependencies: ["Bytes", "GuestMemory", "HostSystem"],
      swiftSettings: strict),
    .target(
      name: "Devices", dependencies: ["Bytes", "DeviceKit", "GuestMemory", "HostSystem"],
      swiftSettings: strict),
    // The display on viewers elsewhere: VNC.
    .target(
      name: "RemoteFramebuffer", dependencies: ["Bytes", "DeviceKit", "HostSystem"],
      swiftSettings: strict),
    .target(
      name: "VMM",
      dependencies: [
        "ACPI", "Bytes", "DeviceKit", "Devices", "GuestMemory", "HostPages", "HostSystem",
        "HyperVCore", "KVM", "MachineSpecification", "SMBIOS", "ZeroTracker",
      ],
      swiftSettings: strict),

    // 64-bit guests written in assembly, embedded as bytes.
    .target(name: "GuestPrograms"),
    // The command: for vmm-run, its tests and its fuzzing; embedders take VMM.
    .target(
      name: "VMMCommand",
      dependencies: [
        "Bytes", "CStart", "ControlAPI", "DeviceKit", "Devices", "GuestMemory", "GuestPrograms",
        "HostSystem", "HyperVCore", "KVM", "MachineSpecification", "RemoteFramebuffer", "SMBIOS",
        "Sandbox", "VMM", "ZeroTracker",
      ],
      swiftSettings: strict),
    .executableTarget(name: "vmm-run", dependencies: ["VMMCommand"], swiftSettings: strict),

    // What several test targets use.
    .target(
      name: "TestSupport",
      dependencies: ["Devices", "GuestMemory", "HostSystem", "Sandbox", "ZeroTracker"],
      path: "Tests/TestSupport", swiftSettings: strict),

    .testTarget(name: "BytesTests", dependencies: ["Bytes"], swiftSettings: strict),
    .testTarget(
      name: "HostSystemTests", dependencies: ["HostSystem", "TestSupport"],
      swiftSettings: strict),
    .testTarget(name: "ACPITests", dependencies: ["ACPI", "Bytes"], swiftSettings: strict),
    .testTarget(
      name: "HyperVCoreTests", dependencies: ["HyperVCore", "TestSupport"],
      swiftSettings: strict),
    .testTarget(
      name: "ZeroTrackerTests", dependencies: ["HostSystem", "TestSupport", "ZeroTracker"],
      swiftSettings: strict),
    .testTarget(
      name: "GuestMemoryTests",
      dependencies: [
        "GuestMemory", "HostPages", "HostSystem", "Sandbox", "TestSupport", "ZeroTracker",
      ],
      swiftSettings: strict),
    .testTarget(
      name: "DevicesTests",
      dependencies: [
        "Bytes", "DeviceKit", "Devices", "GuestMemory", "HostPages", "HostSystem", "Sandbox",
        "TestSupport", "ZeroTracker",
      ],
      swiftSettings: strict),
    // A picture for real viewers, without a machine: scripts/tests/viewers.sh.
    .executableTarget(
      name: "PictureServer", dependencies: ["DeviceKit", "HostSystem", "RemoteFramebuffer"],
      path: "Tests/PictureServer", swiftSettings: strict),
    .testTarget(
      name: "RemoteFramebufferTests",
      dependencies: [
        "Bytes", "DeviceKit", "HostSystem", "RemoteFramebuffer", "Sandbox", "TestSupport",
      ],
      swiftSettings: strict),
    .testTarget(
      name: "VMMTests",
      dependencies: [
        "Bytes", "DeviceKit", "Devices", "GuestMemory", "GuestPrograms", "HostSystem",
        "HyperVCore", "KVM", "MachineSpecification", "RemoteFramebuffer", "Sandbox", "TestSupport",
        "VMM", "ZeroTracker",
      ],
      swiftSettings: strict),
    .testTarget(
      name: "VMMCommandTests",
      dependencies: [
        "Bytes", "ControlAPI", "DeviceKit", "Devices", "GuestMemory", "HostSystem", "HyperVCore",
        "KVM", "MachineSpecification", "RemoteFramebuffer", "SMBIOS", "Sandbox", "TestSupport",
        "VMM", "VMMCommand", "ZeroTracker", "vmm-run",
      ],
      swiftSettings: strict),
    .testTarget(
      name: "SandboxTests",
      dependencies: ["CKVM", "CLinux", "HostSystem", "Sandbox", "TestSupport"],
      swiftSettings: strict),
    .testTarget(
      name: "SMBIOSTests", dependencies: ["SMBIOS", "TestSupport"], swiftSettings: strict),
    .testTarget(
      name: "MachineSpecificationTests",
      dependencies: [
        "HyperVCore", "MachineSpecification", "SMBIOS", "TestSupport", "ZeroTracker",
      ],
      swiftSettings: strict),
    .testTarget(
      name: "ControlAPITests", dependencies: ["ControlAPI", "MachineSpecification", "TestSupport"],
      swiftSettings: strict),
    .testTarget(name: "KVMTests", dependencies: ["HostSystem", "KVM"], swiftSettings: strict),
    .testTarget(
      name: "HostPagesTests", dependencies: ["HostPages", "TestSupport"], swiftSettings: strict),
    .testTarget(
      name: "EmbeddingTests", dependencies: ["HyperVCore", "ZeroTracker"], swiftSettings: strict),
  ],
  swiftLanguageModes: [.v6]
)

// scripts/test builds the suites that run under a sanitizer without the others, and without what
// only those need: half of the work.
if let suites = Context.environment["VMM_RUN_SUITES"]?.split(separator: ",").map(String.init) {
  let others: Set = [
    "CStart", "ControlAPI", "GuestPrograms", "KVM", "MachineSpecification", "VMM", "VMMCommand",
    "vmm-run",
  ]
  package.products.removeAll { others.contains($0.name) }
  package.targets.removeAll {
    others.contains($0.name) || $0.type == .test && !suites.contains($0.name)
  }
}
