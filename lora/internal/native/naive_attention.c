// Plain C attention: one query at a time, scores in double.
//
//   s_ij = scale·q_i·k_j for j < prefix or start_i <= j <= i,  p = softmax(s),  o_i = Σ_j p_ij·v_j,  lse_i = ln Σ_j exp(s_ij)
//   δ_i = do_i·o_i,  ds_ij = p_ij·(do_i·v_j - δ_i)·scale
//   dq_i = Σ_j ds_ij·k_j,  dk_j = Σ_i ds_ij·q_i,  dv_j = Σ_i p_ij·do_i
#include "kernels.h"

#include <math.h>
#include <string.h>

typedef struct {
    const ck_attn * a;
    ck_pool *       pool;
    float *         out; // o or dq
    int64_t         ldo;
    float *         lse_out;
    const float *   o;
    const float *   lse;
    const float *   d_o;
    int64_t         lddo;
    float *         dk;
    float *         dv;
} job;

static double dot(const float * a, const float * b, int n) {
    double s = 0;
    for (int i = 0; i < n; i++) {
        s += (double) a[i] * b[i];
    }
    return s;
}

// first_key and next_key go through the keys that query i sees.
static int first_key(const ck_attn * a, int i) { return a->prefix > 0 ? 0 : a->start[i]; }

static int next_key(const ck_attn * a, int i, int l) { return l + 1 == a->prefix ? ck_max(a->start[i], l + 1) : l + 1; }

// One head: scores of a query live in the thread's scratch, [t].
static void forward_head(void * arg, int h, int thread) {
    const job *     j  = arg;
    const ck_attn * a  = j->a;
    double *        s  = ck_scratch_of(j->pool, thread);
    int             kv = h / (a->heads / a->kv_heads) * a->dim, off = h * a->dim;
    for (int i = 0; i < a->t; i++) {
        const float * q = a->q + i * a->ldq + off;
        double        m = -INFINITY, sum = 0;
        for (int l = first_key(a, i); l <= i; l = next_key(a, i, l)) {
            s[l] = a->scale * dot(q, a->k + l * a->ldk + kv, a->dim);
            m    = s[l] > m ? s[l] : m;
        }
        for (int l = first_key(a, i); l <= i; l = next_key(a, i, l)) {
            s[l] = exp(s[l] - m);
            sum += s[l];
        }
        j->lse_out[i * a->heads + h] = (float) (m + log(sum));
        for (int d = 0; d < a->dim; d++) {
            double y = 0;
            for (int l = first_key(a, i); l <= i; l = next_key(a, i, l)) {
                y += s[l] * a->v[l * a->ldv + kv + d];
            }
            j->out[i * j->ldo + off + d] = (float) (y / sum);
        }
    }
}

int ck_naive_attention(ck_pool * p, const ck_attn * a, float * o, int64_t ldo, float * lse) {
    job j = {.a = a, .pool = p, .out = o, .ldo = ldo, .lse_out = lse};
    if (!ck_scratch_all(p, (size_t) a->t * sizeof(double))) {
        return CK_NOMEM;
    }
    ck_run(p, forward_head, &j, a->heads);
    return CK_OK;
}

// One kv head: sums of dk and dv, [t,dim] each, and of one dq live in the thread's scratch.
static void backward_head(void * arg, int kv_head, int thread) {
    const job *     j     = arg;
    const ck_attn * a     = j->a;
    int             group = a->heads / a->kv_heads, kv = kv_head * a->dim, dim = a->dim;
    double *        dk = ck_scratch_of(j->pool, thread);
    double *        dv = dk + (size_t) a->t * (size_t) dim;
    double *        dq = dv + (size_t) a->t * (size_t) dim;
    memset(dk, 0, 2 * (size_t) a->t * (size_t) dim * sizeof(double));
    for (int h = kv_head * group; h < (kv_head + 1) * group; h++) {
        for (int i = 0; i < a->t; i++) {
            const float * q = a->q + i * a->ldq + h * dim;
            const float * g = j->d_o + i * j->lddo + h * dim;
            double        delta = dot(g, j->o + i * j->ldo + h * dim, dim), lse = j->lse[i * a->heads + h];
            memset(dq, 0, (size_t) dim * sizeof(double));
            for (int l = first_key(a, i); l <= i; l = next_key(a, i, l)) {
                const float * k  = a->k + l * a->ldk + kv;
                double        p  = exp(a->scale * dot(q, k, dim) - lse);
                double        ds = p * (dot(g, a->v + l * a->ldv + kv, dim) - delta) * a->scale;
                for (int d = 0; d < dim; d++) {
                    dq[d] += ds * k[d];
                    dk[l * dim + d] += ds * q[d];
                    dv[l * dim + d] += p * g[d];
                }
            }
            for (int d = 0; d < dim; d++) {
                j->out[i * a->ldq + h * dim + d] = (float) dq[d];
            }
        }
    }
    for (int i = 0; i < a->t; i++) {
        for (int d = 0; d < dim; d++) {
            j->dk[i * a->ldk + kv + d] = (float) dk[i * dim + d];
            j->dv[i * a->ldv + kv + d] = (float) dv[i * dim + d];
        }
    }
}

int ck_naive_attention_back(ck_pool * p, const ck_attn * a, const float * o, int64_t ldo, const float * lse, const float * d_o,
                            int64_t lddo, float * dq, float * dk, float * dv) {
    job j = {.a = a, .pool = p, .out = dq, .ldo = ldo, .o = o, .lse = lse, .d_o = d_o, .lddo = lddo, .dk = dk, .dv = dv};
    if (!ck_scratch_all(p, (2 * (size_t) a->t + 1) * (size_t) a->dim * sizeof(double))) {
        return CK_NOMEM;
    }
    ck_run(p, backward_head, &j, a->kv_heads);
    return CK_OK;
}
