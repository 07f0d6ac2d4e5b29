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

typedef struct ck_ops ck_ops;

// ck_run calls fn(arg, 0..chunks-1) on the pool's threads. A chunk goes to
// whichever thread is free, so chunks must write different memory.
void ck_run(ck_pool * p, ck_chunk_fn fn, void * arg, int chunks);
int  ck_threads(const ck_pool * p);
const ck_ops * ck_pool_ops(const ck_pool * p);
// ck_dry: the pool only counts scratch. ck_run calls nothing and scratch must not be touched, outside ck_run neither.
bool ck_dry(const ck_pool * p);

// ck_scratch is 64-byte aligned memory of a thread, valid until its next call for the same thread; thread ck_threads(p)
// is memory that all share. Call it before ck_run for every thread. NULL when there is none.
void * ck_scratch(ck_pool * p, int thread, size_t bytes);
// ck_scratch_all does so for all threads; ck_scratch_of then returns a thread's memory.
bool   ck_scratch_all(ck_pool * p, size_t bytes);
void * ck_scratch_of(ck_pool * p, int thread);

enum { CK_F32 = 0 }; // GGML_TYPE_F32

// ck_to_float_fn turns n values, whole blocks, into float.
typedef void (*ck_to_float_fn)(const void * x, float * y, int64_t n);

// ck_dequant turns values [j0,j0+n) of a row of the given ggml type into float. tmp has room for n + 2·block values; the
// result is tmp or a place within it, or a place in the row itself when that is F32. to_float is the level's own
// conversion of the type, NULL for ggml's.
const float * ck_dequant(ck_to_float_fn to_float, int type, const void * row, int64_t cols, int64_t j0, int64_t n, float * tmp);
// ck_block_size is the number of values in a block of a type, ck_block_bytes its size.
int    ck_block_size(int type);
size_t ck_block_bytes(int type);

// Blocked kernels are written once over what a level brings: float micro-kernels (attention.c) and packed panels (gemm.c).

// CK_NR is the width of a micro-kernel's tile and of a panel of the packed right operand; CK_MR_MAX bounds its height.
enum { CK_NR = 16, CK_MR_MAX = 12 };

// ck_tile_fn computes the tile c [rows,16] ldc = or += a·b: a(i,l) is a[i*rs + l*cs], row l of b starts at b + l*ldb.
typedef void (*ck_tile_fn)(int k, const float * a, int64_t rs, int64_t cs, const float * b, int64_t ldb, float * c,
                           int64_t ldc, bool add);

enum { CK_SCORES_MAX = 128 };

// ck_scores are the scores of a block of attention, transposed: s [keys,queries] ld. Query c sees the keys lo[c] <= r < hi[c];
// queries is a multiple of 16; those that fill it up have lo = keys and hi = 0. What stands where a key is not seen is not read.
typedef struct {
    float *       s;
    int64_t       ld;
    int           keys, queries;
    const float * lo;
    const float * hi;
    float         scale;
} ck_scores;

// ck_tiles are the float micro-kernels of a level: tile[r] has r rows, 1 <= r <= mr.
typedef struct {
    int        mr;
    ck_tile_fn tile[CK_MR_MAX + 1];
    // transpose16 writes rows 0..15 of x (k values each, ld apart) as a panel: out[l*16 + j] = scale·x[j*ld + l].
    void (*transpose16)(float * out, const float * x, int64_t ld, int k, float scale);
    // copy16 writes row l of panels of 16 columns: out[p*stride + r] = scale·x[16*p + r] for the first n values, 0 to the end.
    void (*copy16)(float * out, int64_t stride, const float * x, int n, float scale);
    // to_float is a conversion that is faster than ggml's, or NULL.
    ck_to_float_fn (*to_float)(int type);
    // pack_left writes rows 0..mr-1 of x as out[l*mr + i] = x[i*ld + l].
    void (*pack_left)(float * out, const float * x, int64_t ld, int k);
    // copy_left writes columns 0..mr-1 of x as out[l*mr + i] = x[l*ld + i].
    void (*copy_left)(float * out, const float * x, int64_t ld, int k);
    // softmax: s = exp(scale·s - m), 0 for keys that a query does not see, where m is the largest of top and the scaled scores
    // of the query; top becomes m, shrink exp(top - m), sum shrink·sum + Σ s.
    void (*softmax)(const ck_scores * b, float * top, float * sum, float * shrink);
    // score_back: s = exp(scale·s - lse) and ds = scale·s·(ds - delta), both 0 for keys that a query does not see.
    void (*score_back)(const ck_scores * b, float * ds, const float * lse, const float * delta);
    // scale_row: out[j] = f·x[j], also in place; dot is Σ x·y.
    void (*scale_row)(float * out, const float * x, float f, int n);
    float (*dot)(const float * x, const float * y, int n);
} ck_tiles;

// ck_panels is the form in which a level multiplies: the left operand in panels of mr rows, the right one in panels of
// CK_NR columns, both cut along the inner dimension into blocks whose length is padded with zeros to a multiple of kr.
// A panel of a block of kl steps takes mr (or CK_NR) · pad(kl) values of so many bytes; panels follow each other.
typedef struct ck_panels ck_panels;
struct ck_panels {
    const ck_tiles * tiles;
    int              mr, kr;
    int              k_max; // the longest block
    int              bytes; // of a packed value
    int              block; // queries and keys of a block of attention: a multiple of mr, kr and CK_NR, at most CK_SCORES_MAX
    // What planning assumes, in cycles: a multiplication, and reading or packing a value of the left and the right operand.
    double cycles, left_cycles, right_cycles;
    // left writes x(i,l) = x[i*rs + l*cs], i < rows <= mr, as one panel.
    void (*left)(const ck_panels *, void * out, const float * x, int64_t rs, int64_t cs, int rows, int kl);
    // right writes rows k0..k0+kl of b, columns j0..j0+w of n, as panels.
    void (*right)(const ck_panels *, void * out, const ck_right * b, int64_t n, int j0, int w, int k0, int kl, void * tmp);
    // right_trans writes the transpose of rows j0..j0+cols of b, values k0..k0+kl of k, as one panel. cols <= CK_NR.
    void (*right_trans)(const ck_panels *, void * out, const ck_right * b, int64_t k, int j0, int cols, int k0, int kl, void * tmp);
    // round writes n values as products read them; NULL where that is without any change.
    void (*round)(float * out, const float * x, int n);
    // begin and end stand around a thread's calls of multiply; NULL where it needs nothing.
    void (*begin)(void);
    void (*end)(void);
    // multiply: c [rows,cols] ldc = or += the product of consecutive panels of one block, summed before it is added: c may be
    // a residual whose large values would swallow the parts one by one.
    void (*multiply)(const ck_panels *, float * c, int64_t ldc, const void * a, const void * b, int rows, int cols, int kl, bool add);
};

// ck_ops is one level: the form of its products and of its attention, NULL for plain C, and the other kernels for one row
// or one range of values.
struct ck_ops {
    const ck_panels * panels;
    void (*rmsnorm_row)(float * out, const float * x, const float * w, float eps, int n);
    void (*rmsnorm_back_row)(float * dx, const float * dy, const float * x, const float * w, float eps, int n);
    void (*rope_row)(float * x, const float * table, int heads, int dim, int half, bool neox, float sign);
    void (*glu)(float * out, const float * gate, const float * up, int64_t count, int act);
    void (*glu_back)(float * d_gate, float * d_up, const float * d, const float * gate, const float * up, int64_t count, int act);
    void (*cross_entropy_row)(float * x, int n, int target, bool grad, float scale, double * loss, int32_t * correct);
    void (*top_k_row)(float * x, int n, const ck_soft * s, int64_t row);
    void (*distill_row)(float * x, int n, int target, const ck_soft * s, int64_t row, bool grad, float scale, double * loss,
                        double * kl, int32_t * correct);
    void (*add_row)(float * out, const float * x, int n);
    void (*adamw)(float * p, const float * g, float * m, float * v, int64_t n, const ck_adamw_step * s);
    double (*sum_squares)(const float * x, int64_t n);
};

// ck_level_ops is the table of a level, NULL for one that is unknown; *level becomes the one that BEST or FLOAT stands for.
const ck_ops * ck_level_ops(int * level);

enum { CK_BLOCK_MAX = 512 }; // no ggml type has larger blocks

// The panels of the float levels, over their tiles (panels_float.c).
void ck_float_left(const ck_panels *, void *, const float *, int64_t, int64_t, int, int);
void ck_float_right(const ck_panels *, void *, const ck_right *, int64_t, int, int, int, int, void *);
void ck_float_right_trans(const ck_panels *, void *, const ck_right *, int64_t, int, int, int, int, void *);
void ck_float_multiply(const ck_panels *, float *, int64_t, const void *, const void *, int, int, int, bool);

size_t ck_blocked_pack_bytes(const ck_panels *, int, int);
int    ck_blocked_pack(ck_pool *, const ck_panels *, void *, const float *, int64_t, int, int);
int    ck_blocked_gemm(ck_pool *, const ck_panels *, float *, int64_t, int, int, const ck_term *, int, bool);
int    ck_blocked_gemm_tn(ck_pool *, const ck_panels *, float *, int64_t, int64_t, const float *, int64_t, int, const float *,
                          int64_t, int, int);
int    ck_blocked_attention(ck_pool *, const ck_panels *, const ck_attn *, float *, int64_t, float *);
int    ck_blocked_attention_back(ck_pool *, const ck_panels *, const ck_attn *, const float *, int64_t, const float *,
                                 const float *, int64_t, float *, float *, float *);

// Plain C: the oracle of the others, and what memory bounds anyway.
void   ck_naive_pack(float *, const float *, int64_t, int, int);
int    ck_naive_gemm(ck_pool *, float *, int64_t, int, int, const ck_term *, int, bool);
int    ck_naive_gemm_tn(ck_pool *, float *, int64_t, int64_t, const float *, int64_t, int, const float *, int64_t, int, int);
int    ck_naive_attention(ck_pool *, const ck_attn *, float *, int64_t, float *);
int    ck_naive_attention_back(ck_pool *, const ck_attn *, const float *, int64_t, const float *, const float *, int64_t,
                               float *, float *, float *);
void   ck_naive_rmsnorm_row(float *, const float *, const float *, float, int);
void   ck_naive_rmsnorm_back_row(float *, const float *, const float *, const float *, float, int);
void   ck_naive_rope_row(float *, const float *, int, int, int, bool, float);
void   ck_naive_glu(float *, const float *, const float *, int64_t, int);
void   ck_naive_glu_back(float *, float *, const float *, const float *, const float *, int64_t, int);
void   ck_naive_cross_entropy_row(float *, int, int, bool, float, double *, int32_t *);
void   ck_naive_top_k_row(float *, int, const ck_soft *, int64_t);
void   ck_naive_distill_row(float *, int, int, const ck_soft *, int64_t, bool, float, double *, double *, int32_t *);
void   ck_naive_add_row(float *, const float *, int);
void   ck_naive_adamw(float *, const float *, float *, float *, int64_t, const ck_adamw_step *);
double ck_naive_sum_squares(const float *, int64_t);

// ck_add_edge copies or adds to c the part of a tile that c has.
void ck_add_edge(float * c, int64_t ldc, const float * tile, int64_t ld, int rows, int cols, bool add);

static inline int ck_min(int a, int b) { return a < b ? a : b; }
static inline int ck_max(int a, int b) { return a > b ? a : b; }
static inline int ck_ceil_div(int a, int b) { return (a + b - 1) / b; }
static inline int ck_round_up(int a, int b) { return ck_ceil_div(a, b) * b; }

// ck_panel_bytes is the size of panels with so many rows (or columns) in all, of a block of kl steps.
static inline size_t ck_panel_bytes(const ck_panels * s, int rows, int kl) {
    return (size_t) rows * (size_t) ck_round_up(kl, s->kr) * (size_t) s->bytes;
}

static inline void ck_begin(const ck_panels * s) {
    if (s->begin != NULL) {
        s->begin();
    }
}

static inline void ck_end(const ck_panels * s) {
    if (s->end != NULL) {
        s->end();
    }
}

#endif
