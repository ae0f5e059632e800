// swift-tools-version: 6.2
import PackageDescription

/// As in the package that is measured.
let strict: [SwiftSetting] = [
  .strictMemorySafety(),
  .treatAllWarnings(as: .error),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
]

let package = Package(
  name: "Benchmarks",
  dependencies: [.package(name: "vmm-run", path: "..")],
  targets: [
    // What the Swift code is measured against.
    .target(name: "CReference"),
    // The guest that writes memory, in assembly.
    .target(name: "WriterGuestProgram"),
    .executableTarget(
      name: "tracking",
      dependencies: [
        "CReference", "WriterGuestProgram",
        .product(name: "HyperVCore", package: "vmm-run"),
        .product(name: "KVM", package: "vmm-run"),
        .product(name: "ZeroTracker", package: "vmm-run"),
      ],
      swiftSettings: strict),
  ],
  swiftLanguageModes: [.v6]
)
