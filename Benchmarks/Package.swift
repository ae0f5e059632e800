// swift-tools-version: 6.2
import PackageDescription

/// As in the package that is measured.
let strict: [SwiftSetting] =
  [
    .strictMemorySafety(),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
  ] + (Context.environment["VMM_RUN_STRICT"] == "1" ? [.treatAllWarnings(as: .error)] : [])

let package = Package(
  name: "Benchmarks",
  dependencies: [.package(name: "vmm-run", path: "..")],
  targets: [
    // Guests in assembly: one writes memory, one causes exits.
    .target(name: "BenchmarkGuests"),
    // What the Swift code is measured against.
    .target(name: "Floors", dependencies: ["BenchmarkGuests"]),
    .executableTarget(
      name: "measure",
      dependencies: [
        "BenchmarkGuests", "Floors",
        .product(name: "DeviceKit", package: "vmm-run"),
        .product(name: "Devices", package: "vmm-run"),
        .product(name: "GuestMemory", package: "vmm-run"),
        .product(name: "HostPages", package: "vmm-run"),
        .product(name: "HyperVCore", package: "vmm-run"),
        .product(name: "KVM", package: "vmm-run"),
        .product(name: "MachineSpecification", package: "vmm-run"),
        .product(name: "VMM", package: "vmm-run"),
        .product(name: "ZeroTracker", package: "vmm-run"),
      ],
      swiftSettings: strict),
  ],
  swiftLanguageModes: [.v6]
)
