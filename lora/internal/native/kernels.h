// What the C files of this package share: the pool, the table of kernels and
// the types behind the products.
#ifndef CLOISTER_KERNELS_H
#define CLOISTER_KERNELS_H

#include "native.h"

#if defined(__x86_64__)
#define CK_X86 1
#define CK_AVX2 __attribute__((target("avx2,fma,f16c")))
#endif

typedef void (*ck_chunk_fn)(void * arg, int chunk, int thread);

struct ck_ops;

// ck_run calls fn(arg, 0..chunks-1) on the pool's threads. A chunk goes to
// whichever thread is free, so chunks must write different memory.
void ck_run(ck_pool * p, ck_chunk_fn fn, void * arg, int chunks);
int  ck_threads(const ck_pool * p);
const struct ck_ops * ck_pool_ops(const ck_pool * p);

// ck_scratch is 64-byte aligned memory of a thread, valid until its next call for the same thread; thread ck_threads(p)
// is memory that all share. Call it before ck_run for every thread. NULL when there is none.
void * ck_scratch(ck_pool * p, int thread, size_t bytes);
// ck_scratch_all does so for all threads; ck_scratch_of then returns a thread's memory.
bool   ck_scratch_all(ck_pool * p, size_t bytes);
void * ck_scratch_of(ck_pool * p, int thread);

// ck_ops is one level: whole products and attention, and the other kernels for
// the rows [r0,r1) or values [i0,i1) of one chunk.
typedef struct ck_ops {
    int  level;
    int  (*pack)(ck_pool *, float *, const float *, int64_t, int, int);
    int  (*gemm)(ck_pool *, float *, int64_t, int, int, const ck_term *, int, bool);
    int  (*gemm_tn)(ck_pool *, float *, int64_t, int64_t, const float *, int64_t, int, const float *, int64_t, int, int);
    int  (*attention)(ck_pool *, const ck_attn *, float *, int64_t, float *);
    int  (*attention_back)(ck_pool *, const ck_attn *, const float *, int64_t, const float *, const float *, int64_t,
                           float *, float *, float *);
    void (*rmsnorm_row)(float * out, const float * x, const float * w, float eps, int n);
    void (*rmsnorm_back_row)(float * dx, const float * dy, const float * x, const float * w, float eps, int n);
    void (*rope_row)(float * x, const float * table, int heads, int dim, int half, bool neox, float sign);
    void (*glu)(float * out, const float * gate, const float * up, int64_t count, int act);
    void (*glu_back)(float * d_gate, float * d_up, const float * d, const float * gate, const float * up, int64_t count, int act);
    void (*cross_entropy_row)(float * x, int n, int target, bool grad, float scale, double * loss, int32_t * correct);
    void (*add_row)(float * out, const float * x, int n);
} ck_ops;

extern const ck_ops ck_naive;
#ifdef CK_X86
extern const ck_ops ck_avx2;
#endif

enum { CK_F32 = 0 }; // GGML_TYPE_F32

// ck_to_float_fn turns n values, whole blocks, into float.
typedef void (*ck_to_float_fn)(const void * x, float * y, int64_t n);

// ck_dequant turns values [j0,j0+n) of a row of the given ggml type into float. tmp has room for n + 2·block values; the
// result is tmp or a place within it, or a place in the row itself when that is F32. to_float is the level's own
// conversion of the type, NULL for ggml's.
const float * ck_dequant(ck_to_float_fn to_float, int type, const void * row, int64_t cols, int64_t j0, int64_t n, float * tmp);
// ck_block_size is the number of values in a block of a type.
int ck_block_size(int type);

// The blocked product (gemm.c) is one driver for all levels that have micro-kernels.

// CK_NR is the width of a micro-kernel's tile and of a panel of the packed right operand, CK_MR its height.
enum { CK_MR = 6, CK_NR = 16 };

// ck_tile_fn computes the tile c [rows,16] ldc = or += a·b: a(i,l) is a[i*rs + l*cs], row l of b starts at b + l*ldb.
typedef void (*ck_tile_fn)(int k, const float * a, int64_t rs, int64_t cs, const float * b, int64_t ldb, float * c,
                           int64_t ldc, bool add);

// ck_tiles is what a level brings to the blocked drivers: tile[r] has r rows, 1 <= r <= 6.
typedef struct {
    ck_tile_fn tile[CK_MR + 1];
    // transpose16 writes rows 0..15 of x (k values each, ld apart) as a panel: out[l*16 + j] = scale·x[j*ld + l].
    void (*transpose16)(float * out, const float * x, int64_t ld, int k, float scale);
    // copy16 writes row l of panels of 16 columns: out[p*stride + r] = scale·x[16*p + r] for the first n values, 0 to the end.
    void (*copy16)(float * out, int64_t stride, const float * x, int n, float scale);
    // to_float is a conversion that is faster than ggml's, or NULL.
    ck_to_float_fn (*to_float)(int type);
    // pack_left writes rows 0..5 of x as out[l*6 + i] = x[i*ld + l].
    void (*pack_left)(float * out, const float * x, int64_t ld, int k);
    // softmax_row: p[j] = exp(scale·p[j] - m) for j < n, where m = max(m0, scale·max p), which it returns; *sum is Σ p[j].
    float (*softmax_row)(float * p, int n, float scale, float m0, float * sum);
    // score_back_row: p[j] = exp(scale·p[j] - lse); dp[j] = scale·p[j]·(dp[j] - delta).
    void (*score_back_row)(float * p, float * dp, int n, float scale, float lse, float delta);
} ck_tiles;

int ck_blocked_pack(ck_pool *, const ck_tiles *, float *, const float *, int64_t, int, int);
int ck_blocked_gemm(ck_pool *, const ck_tiles *, float *, int64_t, int, int, const ck_term *, int, bool);
int ck_blocked_gemm_tn(ck_pool *, const ck_tiles *, float *, int64_t, int64_t, const float *, int64_t, int, const float *,
                       int64_t, int, int);
int ck_blocked_attention(ck_pool *, const ck_tiles *, const ck_attn *, float *, int64_t, float *);
int ck_blocked_attention_back(ck_pool *, const ck_tiles *, const ck_attn *, const float *, int64_t, const float *,
                              const float *, int64_t, float *, float *, float *);

// Plain C that other levels use too: attention for every head size, and what memory bounds anyway.
void ck_naive_rope_row(float * x, const float * table, int heads, int dim, int half, bool neox, float sign);
void ck_naive_add_row(float * out, const float * x, int n);
int ck_naive_attention(ck_pool *, const ck_attn *, float *, int64_t, float *);
int ck_naive_attention_back(ck_pool *, const ck_attn *, const float *, int64_t, const float *, const float *, int64_t,
                            float *, float *, float *);

static inline int ck_min(int a, int b) { return a < b ? a : b; }
static inline int ck_max(int a, int b) { return a > b ? a : b; }
static inline int ck_ceil_div(int a, int b) { return (a + b - 1) / b; }

#endif
