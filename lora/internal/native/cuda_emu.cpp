//go:build cudaemu

// The kernels of cuda/ compiled for the CPU, over the emulation in cuda/emu.
#define CLOISTER_EMU

#include "cuda/card.cu"
#include "cuda/elements.cu"
#include "cuda/rows.cu"
#include "cuda/loss.cu"
#include "cuda/emu/dequant.h"
#include "cuda/products.cu"
#include "cuda/attention_float.cu"
#include "cuda/attention_tensor.cu"
#include "cuda/attention.cu"

extern "C" {

void cd_emu_lose(long launches) {
    emu::guard g(emu::S().lock);
    emu::S().fail_in = launches;
    if (launches < 0) {
        emu::S().lost = emu::S().last = cudaSuccess;
    }
}

void cd_emu_memory(size_t bytes) {
    emu::guard g(emu::S().lock);
    emu::S().limit = bytes;
}

size_t cd_emu_used(void) {
    emu::guard g(emu::S().lock);
    return emu::S().used;
}

void cd_emu_seed(uint64_t seed) {
    emu::guard g(emu::S().lock);
    emu::B.seed = seed;
}

}
