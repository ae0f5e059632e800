// The feature bits of memory balloons (virtio 1.2 §5.5.3).
extension VirtioFeatures {
  /// *VIRTIO_BALLOON_F_STATS_VQ*: the driver says what its memory is used for.
  static let balloonStatistics = VirtioFeatures(rawValue: 1 << 1)
  /// *VIRTIO_BALLOON_F_DEFLATE_ON_OOM*: a guest that runs out of memory takes it from the balloon.
  static let deflateOnOOM = VirtioFeatures(rawValue: 1 << 2)
  /// *VIRTIO_BALLOON_F_PAGE_POISON*: the driver says what its free pages are filled with.
  static let pagePoison = VirtioFeatures(rawValue: 1 << 4)
  /// *VIRTIO_BALLOON_F_PAGE_REPORTING*: the driver names pages that it does not use now.
  static let pageReporting = VirtioFeatures(rawValue: 1 << 5)

  /// What a balloon offers. Not *MUST_TELL_HOST* (bit 0): pages come back by being touched, and
  /// need no word before. Not *FREE_PAGE_HINT* (bit 3), which is for migration.
  static let ofBalloon: VirtioFeatures = [
    .balloonStatistics, .deflateOnOOM, .pagePoison, .pageReporting,
  ]
}
