// Distillation from a teacher's likeliest tokens in plain C: what these kernels mean, and the oracle of the vector versions
// (simd_soft.h).
#include "soft.h"

#include <math.h>
#include <stdlib.h>

static double largest(const float * x, int n) {
    double m = x[0];
    for (int i = 1; i < n; i++) {
        m = x[i] > m ? x[i] : m;
    }
    return m;
}

// At temperature T token i has the probability exp(x_i/T) / Σ exp(x/T).
void ck_naive_top_k_row(float * x, int n, const ck_soft * s, int64_t row) {
    float *   top   = s->logp + row * s->k;
    int32_t * ids   = s->ids + row * s->k;
    int       count = 0;
    for (int i = 0; i < n; i++) {
        count = ck_insert(top, ids, count, s->k, x[i], i);
    }
    double m = top[0], t = s->temperature, of_top = 0, others = 0;
    for (int j = 0; j < s->k; j++) {
        of_top += exp((top[j] - m) / t);
        x[ids[j]] = -INFINITY;
    }
    for (int i = 0; i < n; i++) {
        others += exp((x[i] - m) / t);
    }
    others = fmax(others, CK_LEAST_REST);
    double all = log(of_top + others);
    for (int j = 0; j < s->k; j++) {
        top[j] = (float) ((top[j] - m) / t - all);
    }
    s->rest[row] = (float) (log(others) - all);
}

// With p the student's probabilities at the temperature T, q the teacher's, and R the tokens that are not among its k:
//
//   kl = Σ_k q_j·ln(q_j/p_j) + q_R·ln(q_R/p_R),  p_R = Σ_R p_i
//   ∂kl/∂x_j = (p_j - q_j)/T,  ∂kl/∂x_i = p_i·(1 - q_R/p_R)/T for i in R
//
// Both sums of exponentials leave out the k tokens at first, so that p_R loses nothing by subtraction.
void ck_naive_distill_row(float * x, int n, int target, const ck_soft * s, int64_t row, bool grad, float scale, double * loss,
                          double * kl, int32_t * correct) {
    const int32_t * ids  = s->ids + row * s->k;
    const float *   logq = s->logp + row * s->k;
    double          m = largest(x, n), t = s->temperature, hard = 0, of_top = 0, others = 0;
    for (int i = 0; i < n; i++) {
        hard += exp(x[i] - m);
    }
    *loss    = log(hard) + m - x[target];
    *correct = ck_first_largest(x, target, (float) m);

    double * z = malloc((size_t) s->k * sizeof *z); // x_j - m of the k tokens
    for (int j = 0; j < s->k; j++) {
        z[j] = x[ids[j]] - m;
        of_top += exp(z[j] / t);
    }
    for (int j = 0; j < s->k; j++) {
        x[ids[j]] = -INFINITY;
    }
    for (int i = 0; i < n; i++) {
        others += exp((x[i] - m) / t);
    }
    others = fmax(others, CK_LEAST_REST);
    double all = of_top + others, log_all = log(all), q_rest = exp(s->rest[row]);
    *kl = q_rest * (s->rest[row] - (log(others) - log_all));
    for (int j = 0; j < s->k; j++) {
        *kl += exp(logq[j]) * (logq[j] - (z[j] / t - log_all));
    }
    double soft = (1 - s->alpha) * t / all, rest = soft * (1 - q_rest * all / others);
    for (int i = 0; i < n && grad; i++) {
        x[i] = (float) (scale * (s->alpha * exp(x[i] - m) / hard + rest * exp((x[i] - m) / t)));
    }
    for (int j = 0; j < s->k && grad; j++) {
        x[ids[j]] = (float) (scale * (s->alpha * exp(z[j]) / hard + soft * (exp(z[j] / t) - exp(logq[j]) * all)));
    }
    if (grad) {
        x[target] -= scale * s->alpha;
    }
    free(z);
}
