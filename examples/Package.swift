// swift-tools-version: 6.2
import PackageDescription

// A package of its own, which depends on the libraries as an embedder's does.
let package = Package(
  name: "examples",
  dependencies: [.package(name: "vmm-run", path: "..")],
  targets: [
    // A VMM with a device of its own, which answers 0x8002 from tracked truth.
    .executableTarget(
      name: "tiny-vmm",
      dependencies: [
        .product(name: "DeviceKit", package: "vmm-run"),
        .product(name: "GuestMemory", package: "vmm-run"),
        .product(name: "HyperVCore", package: "vmm-run"),
        .product(name: "KVM", package: "vmm-run"),
        .product(name: "ZeroTracker", package: "vmm-run"),
      ]),
    // The library's own machine, with a program and devices of one's own.
    .executableTarget(
      name: "whole-machine",
      dependencies: [
        .product(name: "DeviceKit", package: "vmm-run"),
        .product(name: "Devices", package: "vmm-run"),
        .product(name: "VMM", package: "vmm-run"),
      ]),
    // A PC with a screen and a network, whose far ends are the program.
    .executableTarget(
      name: "desk-machine",
      dependencies: [
        .product(name: "DeviceKit", package: "vmm-run"),
        .product(name: "Devices", package: "vmm-run"),
        .product(name: "MachineSpecification", package: "vmm-run"),
        .product(name: "VMM", package: "vmm-run"),
      ]),
    // Hypercalls as a guest and a VMM see them, without KVM: HyperVCore alone.
    .testTarget(
      name: "HypercallEncodingTests",
      dependencies: [.product(name: "HyperVCore", package: "vmm-run")]),
  ],
  swiftLanguageModes: [.v6]
)
