// CUDA on the CPU, as far as our kernels use it, so that their arithmetic and
// their addresses are tested where there is no card. It says nothing about
// speed, and races between warps it finds only by chance (fibers.h).
#ifndef CLOISTER_EMU_H
#define CLOISTER_EMU_H

#include <float.h>
#include <math.h>

#include "runtime.h"

#define __global__ static
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)

#define __syncthreads() emu::barrier()

struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(16) uint4 {
    uint32_t x, y, z, w;
};
struct alignas(8) uint2 {
    uint32_t x, y;
};
inline uint2  make_uint2(uint32_t x, uint32_t y) { return uint2{x, y}; }
inline float2 make_float2(float x, float y) { return float2{x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return float4{x, y, z, w}; }
inline uint4  make_uint4(uint32_t x, uint32_t y, uint32_t z, uint32_t w) { return uint4{x, y, z, w}; }

struct __nv_bfloat16 {
    uint16_t bits;
};
inline __nv_bfloat16 __float2bfloat16(float v) {
    uint32_t b;
    memcpy(&b, &v, 4);
    if ((b & 0x7fffffff) > 0x7f800000) {
        return __nv_bfloat16{0x7fff};
    }
    return __nv_bfloat16{(uint16_t) ((b + 0x7fff + (b >> 16 & 1)) >> 16)};
}
inline float __bfloat162float(__nv_bfloat16 v) {
    uint32_t b = (uint32_t) v.bits << 16;
    float    f;
    memcpy(&f, &b, 4);
    return f;
}

using std::max;
using std::min;
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fdividef(float a, float b) { return a / b; }

namespace emu {

enum { SHFL = 1, MMA, LDMATRIX, SYNC };

inline float from_bf16(uint32_t two, int high) { return __bfloat162float(__nv_bfloat16{(uint16_t) (high ? two >> 16 : two)}); }

}  // namespace emu

template <class T> T shuffle(T v, int from) {
    static_assert(sizeof(T) <= 8, "a lane passes on at most 8 bytes");
    emu::slot mine{emu::SHFL, {}, nullptr};
    memcpy(mine.v, &v, sizeof v);
    emu::slot * all = emu::gather(mine, [](emu::slot *) {});
    memcpy(&v, all[from].v, sizeof v);
    return v;
}
template <class T> T __shfl_xor_sync(unsigned, T v, int mask) { return shuffle(v, emu::B.now->lane ^ mask); }
template <class T> T __shfl_sync(unsigned, T v, int from) { return shuffle(v, from); }
inline void          __syncwarp() {
    emu::gather(emu::slot{emu::SYNC, {}, nullptr}, [](emu::slot *) {});
}

// mma_bf16 is mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32: d [16,8] += a [16,16]·b [16,8]. In lane l, with g = l/4 and
// t = 2·(l%4), a holds rows g, g+8, g, g+8 at columns t, t, t+8, t+8; b column g at rows t and t+8; d rows g and g+8 at column t.
inline void mma_bf16(float d[4], const uint32_t a[4], const uint32_t b[2]) {
    emu::slot mine{emu::MMA, {a[0], a[1], a[2], a[3], b[0], b[1], 0, 0}, nullptr};
    emu::slot * all = emu::gather(mine, [](emu::slot * s) {
        float x[16][16], y[16][8];
        for (int l = 0; l < 32; l++) {
            int g = l / 4, t = 2 * (l % 4);
            for (int h = 0; h < 2; h++) {
                x[g][t + h]         = emu::from_bf16(s[l].v[0], h);
                x[g + 8][t + h]     = emu::from_bf16(s[l].v[1], h);
                x[g][t + 8 + h]     = emu::from_bf16(s[l].v[2], h);
                x[g + 8][t + 8 + h] = emu::from_bf16(s[l].v[3], h);
                y[t + h][g]         = emu::from_bf16(s[l].v[4], h);
                y[t + 8 + h][g]     = emu::from_bf16(s[l].v[5], h);
            }
        }
        for (int i = 0; i < 16; i++) {
            float sum[8] = {};
            for (int k = 0; k < 16; k++) {
                for (int j = 0; j < 8; j++) {
                    sum[j] += x[i][k] * y[k][j];
                }
            }
            for (int j = 0; j < 8; j++) {
                memcpy(&s[i % 8 * 4 + j / 2].v[i / 8 * 2 + j % 2], &sum[j], 4);
            }
        }
    });
    float part[4];
    memcpy(part, all[emu::B.now->lane].v, sizeof part);
    for (int i = 0; i < 4; i++) {
        d[i] += part[i];
    }
}

// load_matrix is ldmatrix.x4: four 8x8 matrices of 16-bit values, whose rows lie where lanes 8i..8i+7 say. Lane l gets of each
// row l/4 at columns 2·(l%4) and the next, or with trans the same of the transpose.
template <bool TRANS> void load_matrix(uint32_t out[4], const void * row) {
    if ((uintptr_t) row % 16 != 0) {
        emu::die("a row for ldmatrix is not aligned to 16 bytes");
    }
    emu::slot * all = emu::gather(emu::slot{emu::LDMATRIX, {}, (void *) row}, [](emu::slot * s) {
        uint16_t x[4][8][8];
        for (int l = 0; l < 32; l++) {
            memcpy(x[l / 8][l % 8], s[l].p, 16);
        }
        for (int l = 0; l < 32; l++) {
            for (int m = 0; m < 4; m++) {
                int i = l / 4, j = 2 * (l % 4);
                s[l].v[m] = TRANS ? (uint32_t) x[m][j + 1][i] << 16 | x[m][j][i] : (uint32_t) x[m][i][j + 1] << 16 | x[m][i][j];
            }
        }
    });
    memcpy(out, all[emu::B.now->lane].v, 16);
}

inline uint32_t pack_bf16(float low, float high) {
    return (uint32_t) __float2bfloat16(high).bits << 16 | __float2bfloat16(low).bits;
}
inline float fast_exp2(float x) { return exp2f(x); }

// copy_async, copy_commit and copy_wait are cp.async of 16 bytes, its groups, and waiting until at most N groups are under way.
inline void copy_async(void * to, const void * from) {
    if ((uintptr_t) to % 16 != 0 || (uintptr_t) from % 16 != 0) {
        emu::die("a copy into shared memory is not aligned to 16 bytes");
    }
    if (emu::random32() % 2 == 0) { // at once, which shows who still reads what is there; or late, which shows who does not wait
        memcpy(to, from, 16);
        return;
    }
    emu::B.now->copies.back().push_back({to, from});
}
inline void copy_commit() { emu::B.now->copies.push_back({}); }
template <int N> void copy_wait() {
    auto & c = emu::B.now->copies;
    while (c.size() > N + 1) {
        for (auto & p : c.front()) {
            memcpy(p.to, p.from, 16);
        }
        c.erase(c.begin());
    }
}

#define SHARED(T, name) T * name = (T *) emu::B.shared
#define LAUNCH(c, what, kernel, grid, block, bytes, ...)                         \
    do {                                                                         \
        emu::launch(what, kernel, grid, block, bytes, (c)->stream, __VA_ARGS__); \
        (c)->launched(what);                                                     \
    } while (0)

#endif
