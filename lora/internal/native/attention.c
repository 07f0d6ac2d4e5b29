// Attention in blocks with an online softmax, for every level with
// micro-kernels: Dao, "FlashAttention-2" (2023). No T x T matrix exists; the
// backward pass computes scores again from q, k and lse. It goes over the
// blocks twice, once for dq and once for dk and dv, so that each output has one
// writer and the result does not depend on the number of threads. The formulas
// stand in naive_attention.c.
#include "kernels.h"

#include <math.h>
#include <string.h>

enum { BQ = 48, BK = 64 }; // queries and keys in a block

typedef struct {
    const ck_attn *  a;
    const ck_tiles * tiles;
    ck_pool *        pool;
    int              panels;    // of 16 keys, for each kv head
    int              blocks;    // of at most BQ queries, none across a border of segments
    int *            first;     // [blocks + 1]: their first queries
    float *          kt;        // [kv_heads][panels][dim][16]: k transposed
    float *          vt;        // the same of v; backward only
    float *          delta;     // [t, heads]; backward only
    float *          out;       // o or dq
    int64_t          ldo;
    float *          lse_out;
    const float *    o;
    const float *    lse;
    const float *    d_o;
    int64_t          lddo;
    float *          dk;
    float *          dv;
} job;

static void transpose_panel(const job * j, float * out, const float * x, int64_t ld, int j0) {
    int dim = j->a->dim, n = ck_min(CK_NR, j->a->t - j0);
    if (n == CK_NR) {
        j->tiles->transpose16(out, x + j0 * ld, ld, dim, 1);
        return;
    }
    for (int d = 0; d < dim; d++) {
        for (int r = 0; r < CK_NR; r++) {
            out[d * CK_NR + r] = r < n ? x[(j0 + r) * ld + d] : 0;
        }
    }
}

static const float * panel(const job * j, const float * base, int kv_head, int key) {
    return base + ((size_t) kv_head * (size_t) j->panels + (size_t) (key / CK_NR)) * (size_t) j->a->dim * CK_NR;
}

static void transpose_chunk(void * arg, int chunk, int thread) {
    (void) thread;
    const job *     j  = arg;
    const ck_attn * a  = j->a;
    int             kv = chunk / (j->panels * CK_NR / BK), j0 = chunk % (j->panels * CK_NR / BK) * BK;
    for (int key = j0; key < j0 + BK; key += CK_NR) {
        transpose_panel(j, (float *) panel(j, j->kt, kv, key), a->k + kv * a->dim, a->ldk, key);
        if (j->vt != NULL) {
            transpose_panel(j, (float *) panel(j, j->vt, kv, key), a->v + kv * a->dim, a->ldv, key);
        }
    }
}

static void delta_chunk(void * arg, int chunk, int thread) {
    (void) thread;
    const job *     j = arg;
    const ck_attn * a = j->a;
    for (int i = chunk * BQ; i < ck_min(a->t, (chunk + 1) * BQ); i++) {
        for (int h = 0; h < a->heads; h++) {
            const float * x = j->o + i * j->ldo + h * a->dim;
            const float * g = j->d_o + i * j->lddo + h * a->dim;
            float         s = 0;
            for (int d = 0; d < a->dim; d++) {
                s += x[d] * g[d];
            }
            j->delta[i * a->heads + h] = s;
        }
    }
}

// multiply_rows: c [m,BK] = x·(keys j0..j0+n), x [m,dim] ld for the queries from i0 on, b the transposed keys from j0
// on. Tiles whose keys all come after their queries are left out.
static void multiply_rows(const job * j, float * c, const float * x, int64_t ld, int i0, int m, const float * b, int j0, int n) {
    int dim = j->a->dim, mr = j->tiles->mr;
    for (int jp = 0; jp < n; jp += CK_NR, b += (size_t) dim * CK_NR) {
        int first = ck_max(j0 + jp - i0 + 1 - mr, 0); // the first tile that has a query at or after key j0+jp
        for (int i = (first + mr - 1) / mr * mr; i < m; i += mr) {
            j->tiles->tile[ck_min(mr, m - i)](dim, x + i * ld, ld, 1, b, CK_NR, c + i * BK + jp, BK, false);
        }
    }
}

// accumulate: c [m,dim] += a·x, where a(i,l) is a[i*rs + l*cs] and x [k,dim] ld.
static void accumulate(const job * j, float * c, const float * a, int64_t rs, int64_t cs, int m, const float * x, int64_t ld, int k) {
    int dim = j->a->dim, mr = j->tiles->mr;
    for (int d = 0; d < dim; d += CK_NR) {
        for (int i = 0; i < m; i += mr) {
            j->tiles->tile[ck_min(mr, m - i)](k, a + i * rs, rs, cs, x + d, ld, c + i * dim + d, dim, true);
        }
    }
}

static void copy_out(float * out, int64_t ld, const float * x, int m, int dim) {
    for (int i = 0; i < m; i++) {
        memcpy(out + i * ld, x + (size_t) i * (size_t) dim, (size_t) dim * sizeof(float));
    }
}

// next_block moves to the next block of keys that queries [i0,i1) see, from *n
// keys at *j0; *n = 0 starts. It returns false after the last one.
static bool next_block(const ck_attn * a, int i0, int i1, int * j0, int * n) {
    int j = *n == 0 ? 0 : *j0 + *n, end = i1;
    if (j < a->prefix) {
        end = ck_min(i1, ck_ceil_div(a->prefix, CK_NR) * CK_NR);
    } else {
        j = ck_max(j, a->start[i0] / CK_NR * CK_NR);
    }
    *j0 = j;
    *n  = ck_min(BK, end - j);
    return *n > 0;
}

// visible returns the keys [*b,*e) of the block [j0,j0+n), counted from j0, that
// query i sees. If it sees both keys of the prefix and later ones, those in
// between get the score -∞.
static void visible(const ck_attn * a, float * row, int i, int j0, int n, int * b, int * e) {
    int pe = ck_max(ck_min(ck_min(a->prefix, i + 1) - j0, n), 0);
    int sb = ck_max(ck_max(a->start[i], a->prefix) - j0, 0), se = ck_min(i + 1 - j0, n);
    *b = pe > 0 ? 0 : ck_min(sb, n);
    *e = sb < se ? se : pe;
    *e = ck_max(*e, *b);
    for (int l = pe; pe > 0 && l < ck_min(sb, *e); l++) {
        row[l] = -INFINITY;
    }
}

static void forward_chunk(void * arg, int chunk, int thread) {
    const job *     j   = arg;
    const ck_attn * a   = j->a;
    int             h   = chunk % a->heads, kv = h / (a->heads / a->kv_heads), dim = a->dim;
    int             i0  = j->first[chunk / a->heads], m = j->first[chunk / a->heads + 1] - i0;
    float *         s   = ck_scratch_of(j->pool, thread); // [BQ,BK]
    float *         acc = s + BQ * BK;                    // [BQ,dim]
    float           top[BQ], sum[BQ];
    memset(acc, 0, (size_t) m * (size_t) dim * sizeof(float));
    for (int i = 0; i < m; i++) {
        top[i] = -INFINITY;
        sum[i] = 0;
    }
    for (int j0 = 0, n = 0; next_block(a, i0, i0 + m, &j0, &n);) {
        multiply_rows(j, s, a->q + i0 * a->ldq + h * dim, a->ldq, i0, m, panel(j, j->kt, kv, j0), j0, n);
        for (int i = 0; i < m; i++) {
            float * row = s + i * BK;
            int     b, e;
            visible(a, row, i0 + i, j0, n, &b, &e);
            if (b == e) {
                memset(row, 0, (size_t) n * sizeof(float));
                continue;
            }
            float part, m0 = top[i];
            top[i] = j->tiles->softmax_row(row + b, e - b, a->scale, m0, &part);
            memset(row, 0, (size_t) b * sizeof(float));
            memset(row + e, 0, (size_t) (n - e) * sizeof(float));
            float shrink = expf(m0 - top[i]);
            sum[i]       = sum[i] * shrink + part;
            for (int d = 0; d < dim && shrink != 1; d++) {
                acc[i * dim + d] *= shrink;
            }
        }
        accumulate(j, acc, s, BK, 1, m, a->v + j0 * a->ldv + kv * dim, a->ldv, n);
    }
    for (int i = 0; i < m; i++) {
        j->lse_out[(i0 + i) * a->heads + h] = top[i] + logf(sum[i]);
        for (int d = 0; d < dim; d++) {
            acc[i * dim + d] /= sum[i];
        }
    }
    copy_out(j->out + i0 * j->ldo + h * dim, j->ldo, acc, m, dim);
}

// score_block computes p and ds [m,BK] of head h for queries [i0,i0+m) and keys [j0,j0+n); 0 where the mask is.
static void score_block(const job * j, float * p, float * ds, int h, int i0, int m, int j0, int n) {
    const ck_attn * a  = j->a;
    int             kv = h / (a->heads / a->kv_heads), dim = a->dim;
    multiply_rows(j, p, a->q + i0 * a->ldq + h * dim, a->ldq, i0, m, panel(j, j->kt, kv, j0), j0, n);
    multiply_rows(j, ds, j->d_o + i0 * j->lddo + h * dim, j->lddo, i0, m, panel(j, j->vt, kv, j0), j0, n);
    for (int i = 0; i < m; i++) {
        int    b, e, at = (i0 + i) * a->heads + h;
        float *pr = p + i * BK, *dr = ds + i * BK;
        visible(a, pr, i0 + i, j0, n, &b, &e);
        j->tiles->score_back_row(pr + b, dr + b, e - b, a->scale, j->lse[at], j->delta[at]);
        memset(pr, 0, (size_t) b * sizeof(float));
        memset(dr, 0, (size_t) b * sizeof(float));
        memset(pr + e, 0, (size_t) (n - e) * sizeof(float));
        memset(dr + e, 0, (size_t) (n - e) * sizeof(float));
    }
}

static void dq_chunk(void * arg, int chunk, int thread) {
    const job *     j   = arg;
    const ck_attn * a   = j->a;
    int             h   = chunk % a->heads, kv = h / (a->heads / a->kv_heads), dim = a->dim;
    int             i0  = j->first[chunk / a->heads], m = j->first[chunk / a->heads + 1] - i0;
    float *         p   = ck_scratch_of(j->pool, thread);
    float *         ds  = p + BQ * BK;
    float *         acc = ds + BQ * BK;
    memset(acc, 0, (size_t) m * (size_t) dim * sizeof(float));
    for (int j0 = 0, n = 0; next_block(a, i0, i0 + m, &j0, &n);) {
        score_block(j, p, ds, h, i0, m, j0, n);
        accumulate(j, acc, ds, BK, 1, m, a->k + j0 * a->ldk + kv * dim, a->ldk, n);
    }
    copy_out(j->out + i0 * a->ldq + h * dim, a->ldq, acc, m, dim);
}

static void dkv_chunk(void * arg, int chunk, int thread) {
    const job *     j     = arg;
    const ck_attn * a     = j->a;
    int             group = a->heads / a->kv_heads, kv = chunk % a->kv_heads, dim = a->dim;
    int             j0 = chunk / a->kv_heads * BK, n = ck_min(BK, a->t - j0);
    float *         p  = ck_scratch_of(j->pool, thread);
    float *         ds = p + BQ * BK;
    float *         dk = ds + BQ * BK; // [BK,dim]
    float *         dv = dk + BK * dim;
    memset(dk, 0, 2 * BK * (size_t) dim * sizeof(float));
    for (int block = 0; block < j->blocks; block++) {
        int i0 = j->first[block], m = j->first[block + 1] - i0;
        if (i0 + m <= j0) {
            continue;
        }
        if (j0 >= a->prefix && a->start[i0] >= j0 + n) {
            break;
        }
        for (int h = kv * group; h < (kv + 1) * group; h++) {
            score_block(j, p, ds, h, i0, m, j0, n);
            accumulate(j, dv, p, 1, BK, n, j->d_o + i0 * j->lddo + h * dim, j->lddo, m);
            accumulate(j, dk, ds, 1, BK, n, a->q + i0 * a->ldq + h * dim, a->ldq, m);
        }
    }
    copy_out(j->dk + j0 * a->ldk + kv * dim, a->ldk, dk, n, dim);
    copy_out(j->dv + j0 * a->ldv + kv * dim, a->ldv, dv, n, dim);
}

// cut lists the blocks of queries: a segment, or equal parts of one with more than BQ.
static void cut(job * j) {
    const ck_attn * a = j->a;
    j->blocks         = 0;
    for (int begin = 0, end; begin < a->t; begin = end) {
        for (end = begin + 1; end < a->t && a->start[end] != end; end++) {
        }
        int parts = ck_ceil_div(end - begin, BQ);
        for (int i = 0; i < parts; i++) {
            j->first[j->blocks++] = begin + (int) ((int64_t) (end - begin) * i / parts);
        }
    }
    j->first[j->blocks] = a->t;
}

// prepare reserves scratch and transposes k (and, for the backward pass, v).
static bool prepare(job * j, bool back) {
    const ck_attn * a   = j->a;
    size_t          dim = (size_t) a->dim;
    j->panels           = ck_ceil_div(a->t, BK) * (BK / CK_NR);
    size_t  all = (size_t) a->kv_heads * (size_t) j->panels * CK_NR * dim, delta = (size_t) a->t * (size_t) a->heads;
    size_t  floats = back ? 2 * all + delta : all;
    float * shared = ck_scratch(j->pool, ck_threads(j->pool), floats * sizeof(float) + ((size_t) a->t + 1) * sizeof(int));
    if (shared == NULL || !ck_scratch_all(j->pool, (2 * BQ * BK + 2 * BK * dim) * sizeof(float))) {
        return false;
    }
    j->kt    = shared;
    j->first = (int *) (shared + floats);
    if (ck_dry(j->pool)) {
        return true;
    }
    cut(j);
    if (back) {
        j->vt    = shared + all;
        j->delta = shared + 2 * all;
    }
    ck_run(j->pool, transpose_chunk, j, a->kv_heads * ck_ceil_div(a->t, BK));
    return true;
}

int ck_blocked_attention(ck_pool * p, const ck_tiles * tiles, const ck_attn * a, float * o, int64_t ldo, float * lse) {
    job j = {.a = a, .tiles = tiles, .pool = p, .out = o, .ldo = ldo, .lse_out = lse};
    if (!prepare(&j, false)) {
        return CK_NOMEM;
    }
    ck_run(p, forward_chunk, &j, a->heads * j.blocks);
    return CK_OK;
}

int ck_blocked_attention_back(ck_pool * p, const ck_tiles * tiles, const ck_attn * a, const float * o, int64_t ldo,
                              const float * lse, const float * d_o, int64_t lddo, float * dq, float * dk, float * dv) {
    job j = {.a = a, .tiles = tiles, .pool = p, .out = dq, .ldo = ldo, .o = o, .lse = lse, .d_o = d_o, .lddo = lddo, .dk = dk, .dv = dv};
    if (!prepare(&j, true)) {
        return CK_NOMEM;
    }
    ck_run(p, delta_chunk, &j, ck_ceil_div(a->t, BQ));
    ck_run(p, dq_chunk, &j, a->heads * j.blocks);
    ck_run(p, dkv_chunk, &j, a->kv_heads * ck_ceil_div(a->t, BK));
    return CK_OK;
}
