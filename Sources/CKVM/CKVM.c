// Everything is in the header: the shim has no logic, and SwiftPM wants one source file.
#include "ckvm.h"
