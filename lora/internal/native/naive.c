// The plain C level: the oracle of the fast kernels, and what runs on a CPU
// without AVX2. Sums are double, loops follow the formulas.
#include "kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 8 };

// The packed left operand of this level is x without gaps.
void ck_naive_pack(float * out, const float * x, int64_t ld, int m, int k) {
    for (int i = 0; i < m; i++) {
        memcpy(out + (size_t) i * (size_t) k, x + i * ld, (size_t) k * sizeof(float));
    }
}

typedef struct {
    ck_pool *       pool;
    float *         c;
    int64_t         ldc;
    int             m, n;
    const ck_term * terms;
    int             n_terms;
    bool            add;
} gemm_job;

// add_term adds rows [i0,i1) of one product to sum [i1-i0, n].
static void add_term(const gemm_job * j, const ck_term * t, int i0, int i1, double * sum, float * tmp) {
    const ck_right * b    = &t->b;
    int64_t          lda  = t->lda != 0 ? t->lda : t->k;
    int              rows = b->trans ? j->n : t->k, cols = b->trans ? t->k : j->n;
    for (int r = 0; r < rows; r++) {
        const float * w = ck_dequant(NULL, b->type, (const char *) b->data + (size_t) r * b->row_bytes, cols, 0, cols, tmp);
        for (int i = i0; i < i1; i++) {
            const float * a   = (const float *) t->a + i * lda;
            double *      out = sum + (size_t) (i - i0) * (size_t) j->n;
            double        s   = 0;
            for (int c = 0; c < cols; c++) {
                if (b->trans) {
                    s += (double) a[c] * w[c];
                } else {
                    out[c] += (double) a[r] * w[c] * b->scale;
                }
            }
            if (b->trans) {
                out[r] += s * b->scale;
            }
        }
    }
}

static void gemm_chunk(void * arg, int chunk, int thread) {
    const gemm_job * j   = arg;
    double *         sum = ck_scratch_of(j->pool, thread);
    float *          tmp = (float *) (sum + ROWS * (size_t) j->n);
    int              i0 = chunk * ROWS, i1 = ck_min(i0 + ROWS, j->m);
    for (int i = i0; i < i1; i++) {
        for (int c = 0; c < j->n; c++) {
            sum[(size_t) (i - i0) * (size_t) j->n + (size_t) c] = j->add ? j->c[i * j->ldc + c] : 0;
        }
    }
    for (int k = 0; k < j->n_terms; k++) {
        add_term(j, &j->terms[k], i0, i1, sum, tmp);
    }
    for (int i = i0; i < i1; i++) {
        for (int c = 0; c < j->n; c++) {
            j->c[i * j->ldc + c] = (float) sum[(size_t) (i - i0) * (size_t) j->n + (size_t) c];
        }
    }
}

int ck_naive_gemm(ck_pool * p, float * c, int64_t ldc, int m, int n, const ck_term * terms, int n_terms, bool add) {
    gemm_job j   = {p, c, ldc, m, n, terms, n_terms, add};
    size_t   row = (size_t) n;
    for (int i = 0; i < n_terms; i++) {
        row = row > (size_t) terms[i].k ? row : (size_t) terms[i].k;
    }
    if (!ck_scratch_all(p, ROWS * (size_t) n * sizeof(double) + row * sizeof(float))) {
        return CK_NOMEM;
    }
    ck_run(p, gemm_chunk, &j, ck_ceil_div(m, ROWS));
    return CK_OK;
}

typedef struct {
    float *       g;
    int64_t       gs, gt;
    const float * u;
    int64_t       ldu;
    int           r;
    const float * x;
    int64_t       ldx;
    int           t;
} tn_job;

static void tn_chunk(void * arg, int col, int thread) {
    (void) thread;
    const tn_job * j = arg;
    for (int i = 0; i < j->r; i++) {
        double s = 0;
        for (int t = 0; t < j->t; t++) {
            s += (double) j->u[t * j->ldu + i] * j->x[t * j->ldx + col];
        }
        j->g[i * j->gs + col * j->gt] += (float) s;
    }
}

int ck_naive_gemm_tn(ck_pool * p, float * g, int64_t gs, int64_t gt, const float * u, int64_t ldu, int r, const float * x,
                   int64_t ldx, int n, int t) {
    tn_job j = {g, gs, gt, u, ldu, r, x, ldx, t};
    ck_run(p, tn_chunk, &j, n);
    return CK_OK;
}

// y_j = x_j·r·w_j with r = 1/sqrt(mean(x²) + eps).
void ck_naive_rmsnorm_row(float * out, const float * x, const float * w, float eps, int n) {
    double ss = 0;
    for (int j = 0; j < n; j++) {
        ss += (double) x[j] * x[j];
    }
    double r = 1 / sqrt(ss / n + eps);
    for (int j = 0; j < n; j++) {
        out[j] = (float) (x[j] * r * w[j]);
    }
}

// dx_j += r·dy_j·w_j - x_j·r³/n·Σ_i dy_i·w_i·x_i.
void ck_naive_rmsnorm_back_row(float * dx, const float * dy, const float * x, const float * w, float eps, int n) {
    double ss = 0, dot = 0;
    for (int j = 0; j < n; j++) {
        ss += (double) x[j] * x[j];
        dot += (double) dy[j] * w[j] * x[j];
    }
    double r = 1 / sqrt(ss / n + eps);
    for (int j = 0; j < n; j++) {
        dx[j] += (float) (r * dy[j] * w[j] - x[j] * r * r * r / n * dot);
    }
}

// (x0, x1) = (x0·cos - x1·sin, x0·sin + x1·cos) for each pair; sign -1 turns back.
void ck_naive_rope_row(float * x, const float * table, int heads, int dim, int half, bool neox, float sign) {
    const float * co = table;
    const float * si = table + half;
    int           step = neox ? 1 : 2, other = neox ? half : 1;
    for (int h = 0; h < heads; h++, x += dim) {
        for (int i = 0; i < half; i++) {
            float x0 = x[i * step], x1 = x[i * step + other], s = sign * si[i];
            x[i * step]         = x0 * co[i] - x1 * s;
            x[i * step + other] = x0 * s + x1 * co[i];
        }
    }
}

// activation: SiLU is g/(1+e^-g); GELU is g/2·(1 + tanh(√(2/π)(g + 0.044715 g³))).
static double activation(double g, int act, double * slope) {
    if (act == CK_SILU) {
        double s = 1 / (1 + exp(-g));
        *slope   = s * (1 + g * (1 - s));
        return g * s;
    }
    double c = sqrt(2 / 3.14159265358979323846), t = tanh(c * (g + 0.044715 * g * g * g));
    *slope   = 0.5 * (1 + t) + 0.5 * g * (1 - t * t) * c * (1 + 3 * 0.044715 * g * g);
    return 0.5 * g * (1 + t);
}

void ck_naive_glu(float * out, const float * gate, const float * up, int64_t count, int act) {
    double slope;
    for (int64_t j = 0; j < count; j++) {
        out[j] = (float) (activation(gate[j], act, &slope) * up[j]);
    }
}

void ck_naive_glu_back(float * d_gate, float * d_up, const float * d, const float * gate, const float * up, int64_t count, int act) {
    for (int64_t j = 0; j < count; j++) {
        double slope, y = activation(gate[j], act, &slope), u = up[j];
        d_up[j]   = (float) (d[j] * y);
        d_gate[j] = (float) (d[j] * u * slope);
    }
}

void ck_naive_cross_entropy_row(float * x, int n, int target, bool grad, float scale, double * loss, int32_t * correct) {
    int best = 0;
    for (int j = 1; j < n; j++) {
        best = x[j] > x[best] ? j : best;
    }
    double m = x[best], hit = x[target], total = 0;
    for (int j = 0; j < n; j++) {
        total += exp(x[j] - m);
    }
    *loss    = log(total) + m - hit;
    *correct = best == target;
    for (int j = 0; j < n && grad; j++) {
        x[j] = (float) (scale * (exp(x[j] - m) / total - (j == target)));
    }
}

void ck_naive_add_row(float * out, const float * x, int n) {
    for (int j = 0; j < n; j++) {
        out[j] += x[j];
    }
}

// m = β₁m + (1-β₁)g, v = β₂v + (1-β₂)g², p = p·keep - rate·m / (√v·root + ε), where g is factor times the gradient.
void ck_naive_adamw(float * p, const float * g, float * m, float * v, int64_t n, const ck_adamw_step * s) {
    for (int64_t i = 0; i < n; i++) {
        double d = (double) g[i] * s->factor;
        double a = s->beta1 * (double) m[i] + (1 - (double) s->beta1) * d, b = s->beta2 * (double) v[i] + (1 - (double) s->beta2) * d * d;
        m[i] = (float) a;
        v[i] = (float) b;
        p[i] = (float) (p[i] * (double) s->keep - s->rate * a / (sqrt(b) * s->root + s->epsilon));
    }
}

double ck_naive_sum_squares(const float * x, int64_t n) {
    double s = 0;
    for (int64_t i = 0; i < n; i++) {
        s += (double) x[i] * x[i];
    }
    return s;
}
