//go:build cudaemu

package native

/*
#cgo CXXFLAGS: -std=c++17 -O2 -Wall -Wextra -Wno-unknown-pragmas -Wno-unused-function -Wno-array-bounds -I${SRCDIR}/../../../third_party/native/include
#include <stddef.h>
#include <stdint.h>
void cd_emu_lose(long launches);
void cd_emu_memory(size_t bytes);
size_t cd_emu_used(void);
void cd_emu_seed(uint64_t seed);
*/
import "C"

import "embed"

// CUDAEmulated says that cards are emulated on the CPU: this is a build for tests.
const CUDAEmulated = true

// The sources are compiled through cuda_emu.cpp. Naming them here makes them part of what Go's build cache goes by.
//
//go:embed cuda
var _ embed.FS

// EmulateLoss makes the card fail at a launch: after so many more of them, or never if launches is negative, which also brings a
// lost one back for those who open it anew.
func EmulateLoss(launches int) { C.cd_emu_lose(C.long(launches)) }

// EmulateMemory sets the bytes of memory of the emulated card.
func EmulateMemory(bytes int64) { C.cd_emu_memory(C.size_t(bytes)) }

// EmulatedBytes is the device memory that is allocated.
func EmulatedBytes() int64 { return int64(C.cd_emu_used()) }

// EmulateOrder sets in which order threads run, where barriers leave it open.
func EmulateOrder(seed uint64) { C.cd_emu_seed(C.uint64_t(seed)) }
