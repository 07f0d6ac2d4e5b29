// What all kernels share: the card, how they are launched and how failures are
// reported, and sums over warps and blocks.
#ifndef CLOISTER_CUDA_CARD_CUH
#define CLOISTER_CUDA_CARD_CUH

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#ifdef CLOISTER_EMU
#include "emu/emu.h"
#include "emu/products.h"
#else
#include "device.cuh"
#endif

#include "../cuda.h"

typedef __nv_bfloat16 bf16;

// cd_card owns what calls need beside their operands: a stream, scratch, and a ring in pinned memory with a copy on the device,
// through which small arrays go to the card and back.
struct cd_card {
    int            index   = 0;
    bool           precise = false;
    bool           tensor  = false; // tensor cores multiply BF16
    cudaStream_t   stream  = nullptr;
    cudaStream_t   aside   = nullptr; // for copies beside the kernels
    cudaEvent_t    events[32] = {};   // of copies; those that are not joined yet are busy
    bool           busy[32]   = {};
    cublasHandle_t blas    = nullptr;
    void *         workspace = nullptr;
    size_t         workspace_bytes = 0;
    char *         scratch = nullptr;
    size_t         scratch_bytes = 0;
    char *         ring_host = nullptr; // pinned
    char *         ring = nullptr;      // on the device
    size_t         ring_bytes = 0, ring_at = 0;
    int            failed = CK_OK; // after which every call gives it
    char           message[256] = "";

    // ok is the code for what a call of the runtime gave.
    int ok(cudaError_t e, const char * what) {
        if (e == cudaSuccess) {
            return failed;
        }
        if (failed != CK_OK) {
            return failed;
        }
        if (e == cudaErrorMemoryAllocation) {
            cudaGetLastError(); // it does not stay
            return CK_NOMEM;
        }
        return fail(what, cudaGetErrorName(e), cudaGetErrorString(e));
    }
    int fail(const char * what, const char * name, const char * why) {
        if (failed == CK_OK) {
            snprintf(message, sizeof message, "%s: %s (%s)", what, name, why);
            failed = CD_DEVICE;
        }
        return failed;
    }
    void launched(const char * what) { ok(cudaGetLastError(), what); }
    int  enter() { return failed != CK_OK ? failed : ok(cudaSetDevice(index), "cudaSetDevice"); }
    int  wait() { return ok(cudaStreamSynchronize(stream), "cudaStreamSynchronize"); }

    int    room(size_t bytes);
    void * slot(size_t bytes, char ** host);
    void * upload(const void * src, size_t bytes);
};

// POINTERS names the members of an argument of a kernel that are pointers to device memory; the emulation has to know.
#ifdef CLOISTER_EMU
#define POINTERS(...)                                    \
    template <class V> void pointers(const V & visit_) { \
        visit_.all(__VA_ARGS__);                         \
    }
#else
#define POINTERS(...)
#endif

// ROOM begins every function with small arrays, in bytes.
#define ROOM(c, bytes)                           \
    do {                                         \
        int room_ = (c)->room((size_t) (bytes)); \
        if (room_ != CK_OK) {                    \
            return room_;                        \
        }                                        \
    } while (0)

// ENTER begins every function: the calling thread may be another one than last time.
#define ENTER(c)                      \
    do {                              \
        int code_ = (c)->enter();     \
        if (code_ != CK_OK) {         \
            return code_;             \
        }                             \
    } while (0)

// A result is a small array that a kernel leaves on the device for the host.
struct result {
    void * on_card;
    char * pinned;
    void * to;
    size_t bytes;
};

// make_result gives room on the card for what fetch will bring to to.
static inline result make_result(cd_card * c, void * to, size_t bytes) {
    result r = {nullptr, nullptr, to, bytes};
    r.on_card = c->slot(bytes, &r.pinned);
    return r;
}

// fetch brings results to the host and waits for them.
template <int N> int fetch(cd_card * c, result (&r)[N]) {
    for (int i = 0; i < N; i++) {
        if (r[i].to != nullptr) {
            c->ok(cudaMemcpyAsync(r[i].pinned, r[i].on_card, r[i].bytes, cudaMemcpyDeviceToHost, c->stream), "results");
        }
    }
    if (c->wait() == CK_OK) {
        for (int i = 0; i < N; i++) {
            if (r[i].to != nullptr) {
                memcpy(r[i].to, r[i].pinned, r[i].bytes);
            }
        }
    }
    return c->failed;
}

static inline unsigned blocks_for(int64_t n, int64_t per) { return (unsigned) ((n + per - 1) / per); }

static const unsigned FULL = 0xffffffffu;

__device__ static inline float warp_sum(float v) {
    for (int i = 16; i > 0; i /= 2) {
        v += __shfl_xor_sync(FULL, v, i);
    }
    return v;
}

__device__ static inline float warp_max(float v) {
    for (int i = 16; i > 0; i /= 2) {
        v = fmaxf(v, __shfl_xor_sync(FULL, v, i));
    }
    return v;
}

__device__ static inline double warp_sum(double v) {
    for (int i = 16; i > 0; i /= 2) {
        v += __shfl_xor_sync(FULL, v, i);
    }
    return v;
}

// block_sum and block_max give every thread the result over a block of at most 1024 threads; part is room for 33 values, which
// are free again when the call returns in all threads of a warp and a barrier has followed.
template <class T> __device__ static inline T block_sum(T v, T * part) {
    v = warp_sum(v);
    __syncthreads();
    if (threadIdx.x % 32 == 0) {
        part[threadIdx.x / 32] = v;
    }
    __syncthreads();
    T all = 0;
    for (unsigned i = 0; i < blockDim.x / 32; i++) {
        all += part[i];
    }
    return all;
}

__device__ static inline float block_max(float v, float * part) {
    v = warp_max(v);
    __syncthreads();
    if (threadIdx.x % 32 == 0) {
        part[threadIdx.x / 32] = v;
    }
    __syncthreads();
    float all = part[0];
    for (unsigned i = 1; i < blockDim.x / 32; i++) {
        all = fmaxf(all, part[i]);
    }
    return all;
}

#endif
