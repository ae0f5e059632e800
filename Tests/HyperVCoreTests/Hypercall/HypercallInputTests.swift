import HyperVCore
import Testing
