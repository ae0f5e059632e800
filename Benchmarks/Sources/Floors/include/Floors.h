// What the Swift code is measured against: plain C that does the same with the least work.
#pragma once

#include "CopyFloor.h"
#include "ExitFloor.h"
#include "FreshBuffers.h"
#include "LookFloor.h"
#include "ZeroedRuns.h"
