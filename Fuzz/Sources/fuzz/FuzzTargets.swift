/// All targets; a new one is a file in `Targets/` and a line here.
enum FuzzTargets {
  static var all: [any FuzzTarget.Type] {
    [
      HypercallTarget.self,
      MemoryHintTarget.self,
      SyntheticMSRTarget.self,
      DeviceBusTarget.self,
      FlashTarget.self,
      FirmwareConfigurationTarget.self,
      PCITarget.self,
      NVMeTarget.self,
      ViewerTarget.self,
      ControlTarget.self,
      AHCITarget.self,
      XHCITarget.self,
      TPMTarget.self,
      E1000ETarget.self,
      VirtioTarget.self,
      BalloonTarget.self,
      KernelImageTarget.self,
      TrackerStateTarget.self,
      TrackerModelTarget.self,
      CommandLineTarget.self,
      MachineSpecTarget.self,
      SavedMachineTarget.self,
      MigrationTarget.self,
      VMBusTarget.self,
    ]
  }
}
