// The public kernels: arguments checked, the level's function called, rows
// shared among the threads.
#include "kernels.h"

#include <string.h>

enum { ROWS = 16, VALUES = 16384 }; // of one chunk

size_t ck_pack_bytes(const ck_pool * p, int m, int k) {
    const ck_panels * s = ck_pool_ops(p)->panels;
    return s != NULL ? ck_blocked_pack_bytes(s, m, k) : (size_t) m * (size_t) k * sizeof(float);
}

int ck_pack(ck_pool * p, void * out, const float * x, int64_t ld, int m, int k) {
    const ck_panels * s = ck_pool_ops(p)->panels;
    if (m <= 0 || k <= 0) {
        return CK_SHAPE;
    }
    if (s != NULL) {
        return ck_blocked_pack(p, s, out, x, ld, m, k);
    }
    ck_naive_pack(out, x, ld, m, k);
    return CK_OK;
}

int ck_gemm(ck_pool * p, float * c, int64_t ldc, int m, int n, const ck_term * terms, int n_terms, bool add) {
    if (m <= 0 || n <= 0 || n_terms <= 0) {
        return CK_SHAPE;
    }
    for (int i = 0; i < n_terms; i++) {
        if (terms[i].k <= 0) {
            return CK_SHAPE;
        }
        if (!ck_type_ok(terms[i].b.type, terms[i].b.trans ? terms[i].k : n)) {
            return CK_TYPE;
        }
    }
    const ck_panels * s = ck_pool_ops(p)->panels;
    return s != NULL ? ck_blocked_gemm(p, s, c, ldc, m, n, terms, n_terms, add) : ck_naive_gemm(p, c, ldc, m, n, terms, n_terms, add);
}

int ck_gemm_tn(ck_pool * p, float * g, int64_t gs, int64_t gt, const float * u, int64_t ldu, int r, const float * x,
               int64_t ldx, int n, int t) {
    const ck_panels * s = ck_pool_ops(p)->panels;
    if (r <= 0 || n <= 0 || t <= 0) {
        return CK_SHAPE;
    }
    return s != NULL ? ck_blocked_gemm_tn(p, s, g, gs, gt, u, ldu, r, x, ldx, n, t) : ck_naive_gemm_tn(p, g, gs, gt, u, ldu, r, x, ldx, n, t);
}

static bool attn_ok(const ck_attn * a) {
    if (a->t <= 0 || a->dim <= 0 || a->kv_heads <= 0 || a->heads % a->kv_heads != 0 || a->prefix < 0 || a->prefix > a->t) {
        return false;
    }
    for (int i = 0; i < a->t; i++) {
        int s = a->start[i];
        if (s > i || (i > 0 && s < a->start[i - 1]) || (i < a->prefix ? s != 0 : s < a->prefix)) {
            return false;
        }
    }
    return true;
}

int ck_attention(ck_pool * p, const ck_attn * a, float * o, int64_t ldo, float * lse) {
    if (!attn_ok(a)) {
        return CK_SHAPE;
    }
    const ck_panels * s = ck_pool_ops(p)->panels;
    return s != NULL ? ck_blocked_attention(p, s, a, o, ldo, lse) : ck_naive_attention(p, a, o, ldo, lse);
}

int ck_attention_back(ck_pool * p, const ck_attn * a, const float * o, int64_t ldo, const float * lse, const float * d_o,
                      int64_t lddo, float * dq, float * dk, float * dv) {
    if (!attn_ok(a)) {
        return CK_SHAPE;
    }
    const ck_panels * s = ck_pool_ops(p)->panels;
    return s != NULL ? ck_blocked_attention_back(p, s, a, o, ldo, lse, d_o, lddo, dq, dk, dv)
                     : ck_naive_attention_back(p, a, o, ldo, lse, d_o, lddo, dq, dk, dv);
}

// rows_job holds the arguments of any kernel that works row by row.
typedef struct {
    const ck_ops *  ops;
    float *         out;
    const float *   x;
    const float *   y;
    const float *   w;
    int64_t         ldo, ldx, ldy;
    const int32_t * ids;
    int             t, n, heads, half;
    float           f;
    bool            flag;
    double *        loss;
    double *        kl;
    int32_t *       correct;
    const ck_soft * soft;
} rows_job;

#define ROW_CHUNKS(name, row)                                                                                                 \
    static void name(void * arg, int chunk, int thread) {                                                                     \
        (void) thread;                                                                                                        \
        const rows_job * j = arg;                                                                                             \
        for (int i = chunk * ROWS; i < ck_min(j->t, (chunk + 1) * ROWS); i++) {                                               \
            row(j, i);                                                                                                        \
        }                                                                                                                     \
    }

static int run_rows(ck_pool * p, ck_chunk_fn fn, rows_job * j) {
    if (j->t < 0 || j->n <= 0) {
        return CK_SHAPE;
    }
    j->ops = ck_pool_ops(p);
    ck_run(p, fn, j, ck_ceil_div(j->t, ROWS));
    return CK_OK;
}

static inline void norm_row(const rows_job * j, int64_t i) {
    j->ops->rmsnorm_row(j->out + i * j->ldo, j->x + i * j->ldx, j->w, j->f, j->n);
}
ROW_CHUNKS(norm_rows, norm_row)

int ck_rmsnorm(ck_pool * p, float * out, int64_t ldo, const float * x, int64_t ldx, const float * w, float eps, int t, int n) {
    rows_job j = {.out = out, .ldo = ldo, .x = x, .ldx = ldx, .w = w, .f = eps, .t = t, .n = n};
    return run_rows(p, norm_rows, &j);
}

static inline void norm_back_row(const rows_job * j, int64_t i) {
    j->ops->rmsnorm_back_row(j->out + i * j->ldo, j->y + i * j->ldy, j->x + i * j->ldx, j->w, j->f, j->n);
}
ROW_CHUNKS(norm_back_rows, norm_back_row)

int ck_rmsnorm_back(ck_pool * p, float * dx, int64_t lddx, const float * dy, int64_t lddy, const float * x, int64_t ldx,
                    const float * w, float eps, int t, int n) {
    rows_job j = {.out = dx, .ldo = lddx, .y = dy, .ldy = lddy, .x = x, .ldx = ldx, .w = w, .f = eps, .t = t, .n = n};
    return run_rows(p, norm_back_rows, &j);
}

static inline void rope_row(const rows_job * j, int64_t i) {
    j->ops->rope_row(j->out + i * j->ldo, j->x + i * 2 * j->half, j->heads, j->n, j->half, j->flag, j->f);
}
ROW_CHUNKS(rope_rows, rope_row)

int ck_rope(ck_pool * p, float * x, int64_t ld, const float * table, int t, int heads, int dim, int half, bool neox, bool inverse) {
    if (heads <= 0 || half <= 0 || 2 * half > dim) {
        return CK_SHAPE;
    }
    rows_job j = {.out = x, .ldo = ld, .x = table, .heads = heads, .half = half, .flag = neox, .f = inverse ? -1 : 1, .t = t, .n = dim};
    return run_rows(p, rope_rows, &j);
}

static inline void entropy_row(const rows_job * j, int64_t i) {
    float scale = j->w == NULL ? j->f : j->f * j->w[i];
    j->ops->cross_entropy_row(j->out + i * j->ldo, j->n, j->ids[i], j->flag, scale, j->loss + i, j->correct + i);
}
ROW_CHUNKS(entropy_rows, entropy_row)

int ck_cross_entropy(ck_pool * p, float * logits, int64_t ld, int t, int n, const int32_t * target, bool grad, float scale,
                     const float * weight, double * loss, int32_t * correct) {
    for (int i = 0; i < t; i++) {
        if (target[i] < 0 || target[i] >= n) {
            return CK_SHAPE;
        }
    }
    rows_job j = {.out = logits, .ldo = ld, .ids = target, .flag = grad, .f = scale, .w = weight, .t = t, .n = n, .loss = loss, .correct = correct};
    return run_rows(p, entropy_rows, &j);
}

static inline void top_k_row(const rows_job * j, int64_t i) { j->ops->top_k_row(j->out + i * j->ldo, j->n, j->soft, i); }
ROW_CHUNKS(top_k_rows, top_k_row)

int ck_top_k(ck_pool * p, float * logits, int64_t ld, int t, int n, const ck_soft * s) {
    if (s->k < 1 || s->k > n || !(s->temperature > 0)) {
        return CK_SHAPE;
    }
    rows_job j = {.out = logits, .ldo = ld, .soft = s, .t = t, .n = n};
    return run_rows(p, top_k_rows, &j);
}

static inline void distill_row(const rows_job * j, int64_t i) {
    j->ops->distill_row(j->out + i * j->ldo, j->n, j->ids[i], j->soft, i, j->flag, j->f, j->loss + i, j->kl + i, j->correct + i);
}
ROW_CHUNKS(distill_rows, distill_row)

int ck_distill(ck_pool * p, float * logits, int64_t ld, int t, int n, const int32_t * target, const ck_soft * s, bool grad,
               float scale, double * loss, double * kl, int32_t * correct) {
    bool ok = s->k >= 1 && s->k <= n && s->temperature > 0;
    for (int64_t i = 0; ok && i < t; i++) {
        ok = target[i] >= 0 && target[i] < n;
        for (int64_t l = i * s->k; ok && l < (i + 1) * s->k; l++) {
            ok = s->ids[l] >= 0 && s->ids[l] < n;
        }
    }
    if (!ok) {
        return CK_SHAPE;
    }
    rows_job j = {.out = logits, .ldo = ld, .ids = target, .soft = s, .flag = grad, .f = scale, .t = t, .n = n, .loss = loss, .kl = kl,
                  .correct = correct};
    return run_rows(p, distill_rows, &j);
}

static inline void plus_row(const rows_job * j, int64_t i) { j->ops->add_row(j->out + i * j->ldo, j->x, j->n); }
ROW_CHUNKS(plus_rows, plus_row)

int ck_add_row(ck_pool * p, float * x, int64_t ld, const float * row, int t, int n) {
    rows_job j = {.out = x, .ldo = ld, .x = row, .t = t, .n = n};
    return run_rows(p, plus_rows, &j);
}

static inline void gather_row(const rows_job * j, int64_t i) {
    int64_t from = j->ids == NULL ? i : j->ids[i];
    memcpy(j->out + i * j->ldo, j->x + from * j->ldx, (size_t) j->n * sizeof(float));
}
ROW_CHUNKS(gather_rows, gather_row)

int ck_copy(ck_pool * p, float * out, int64_t ldo, const float * x, int64_t ldx, int t, int n) {
    rows_job j = {.out = out, .ldo = ldo, .x = x, .ldx = ldx, .t = t, .n = n};
    return run_rows(p, gather_rows, &j);
}

int ck_gather(ck_pool * p, float * out, int64_t ldo, const float * x, int64_t ldx, const int32_t * ids, int t, int n) {
    rows_job j = {.out = out, .ldo = ldo, .x = x, .ldx = ldx, .ids = ids, .t = t, .n = n};
    return run_rows(p, gather_rows, &j);
}

static inline void scatter_row(const rows_job * j, int64_t i) {
    j->ops->add_row(j->out + j->ids[i] * j->ldo, j->x + i * j->ldx, j->n);
}
ROW_CHUNKS(scatter_rows, scatter_row)

int ck_scatter_add(ck_pool * p, float * out, int64_t ldo, const float * x, int64_t ldx, const int32_t * ids, int t, int n) {
    rows_job j = {.out = out, .ldo = ldo, .x = x, .ldx = ldx, .ids = ids, .t = t, .n = n};
    return run_rows(p, scatter_rows, &j);
}

typedef struct {
    const ck_ops * ops;
    float *        out;
    float *        out2;
    const float *  d;
    const float *  gate;
    const float *  up;
    int64_t        count;
    int            act;
} glu_job;

static void glu_chunk(void * arg, int chunk, int thread) {
    (void) thread;
    const glu_job * j  = arg;
    int64_t         i0 = (int64_t) chunk * VALUES, n = j->count - i0 < VALUES ? j->count - i0 : VALUES;
    if (j->out2 == NULL) {
        j->ops->glu(j->out + i0, j->gate + i0, j->up + i0, n, j->act);
    } else {
        j->ops->glu_back(j->out + i0, j->out2 + i0, j->d + i0, j->gate + i0, j->up + i0, n, j->act);
    }
}

static int run_glu(ck_pool * p, glu_job * j) {
    if (j->count < 0 || (j->act != CK_SILU && j->act != CK_GELU)) {
        return CK_SHAPE;
    }
    j->ops = ck_pool_ops(p);
    ck_run(p, glu_chunk, j, (int) ((j->count + VALUES - 1) / VALUES));
    return CK_OK;
}

int ck_glu(ck_pool * p, float * out, const float * gate, const float * up, int64_t count, int act) {
    glu_job j = {.out = out, .gate = gate, .up = up, .count = count, .act = act};
    return run_glu(p, &j);
}

int ck_glu_back(ck_pool * p, float * d_gate, float * d_up, const float * d, const float * gate, const float * up, int64_t count, int act) {
    glu_job j = {.out = d_gate, .out2 = d_up, .d = d, .gate = gate, .up = up, .count = count, .act = act};
    return run_glu(p, &j);
}

static const ck_ops * float_ops(void) {
    int level = CK_LEVEL_FLOAT;
    return ck_level_ops(&level);
}

void ck_adamw(float * p, const float * g, float * m, float * v, int64_t n, const ck_adamw_step * s) {
    float_ops()->adamw(p, g, m, v, n, s);
}

double ck_sum_squares(const float * x, int64_t n) { return float_ops()->sum_squares(x, n); }
