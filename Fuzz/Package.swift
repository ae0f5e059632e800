// swift-tools-version: 6.2
import PackageDescription

/// As in the package that is fuzzed.
let strict: [SwiftSetting] =
  [
    .strictMemorySafety(),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
  ] + (Context.environment["VMM_RUN_STRICT"] == "1" ? [.treatAllWarnings(as: .error)] : [])

/// Built by scripts/fuzz, which gives the flags that a manifest should not have: everything, the
/// fuzzed modules too, with `-sanitize=fuzzer,address` for coverage and checks, and
/// `-enable-testing`, because boundaries such as the boot files' parsers are internal.
let package = Package(
  name: "Fuzz",
  dependencies: [.package(name: "vmm-run", path: "..")],
  targets: [
    // libFuzzer's entry point.
    .target(name: "CLibFuzzer"),
    .executableTarget(
      name: "fuzz",
      dependencies: [
        "CLibFuzzer",
        .product(name: "Bytes", package: "vmm-run"),
        .product(name: "ControlAPI", package: "vmm-run"),
        .product(name: "DeviceKit", package: "vmm-run"),
        .product(name: "Devices", package: "vmm-run"),
        .product(name: "GuestMemory", package: "vmm-run"),
        .product(name: "HostSystem", package: "vmm-run"),
        .product(name: "HyperVCore", package: "vmm-run"),
        .product(name: "MachineSpecification", package: "vmm-run"),
        .product(name: "RemoteFramebuffer", package: "vmm-run"),
        .product(name: "Sandbox", package: "vmm-run"),
        .product(name: "VMM", package: "vmm-run"),
        .product(name: "VMMCommand", package: "vmm-run"),
        .product(name: "ZeroTracker", package: "vmm-run"),
      ],
      swiftSettings: strict),
  ],
  swiftLanguageModes: [.v6]
)
