/// What `--version` prints.
enum Version {
  static let text = "vmm-run 0.1.0"
}
