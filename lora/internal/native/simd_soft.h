// Distillation with vectors; the plain versions with the formulas are in naive_soft.c. Included after simd_rows.h.
#include "soft.h"

// sum_exp is Σ exp(scale·(x - m)).
static SIMD double NAME(sum_exp)(const float * x, int n, float m, float scale) {
    double total = 0;
    V      vm = V_SET(m), f = V_SET(scale);
    for (int j = 0; j < n;) {
        int end = ck_min(n, j + SUM_BLOCK);
        V   s = V_SET(0);
        for (; j < end; j += LANES) {
            s = V_ADD(s, exp_v(V_MUL(f, V_SUB(get(x + j, n - j, -INFINITY), vm))));
        }
        total += V_SUM(s);
    }
    return total;
}

enum { TOP_BLOCK = 64 }; // values that are looked at together for one that is large enough

SIMD void NAME(top_k_row)(float * x, int n, const ck_soft * s, int64_t row) {
    float *   top   = s->logp + row * s->k;
    int32_t * ids   = s->ids + row * s->k;
    int       count = 0;
    for (int j = 0; j < n; j += TOP_BLOCK) {
        int end = ck_min(n, j + TOP_BLOCK);
        if (count == s->k) {
            V high = V_SET(-INFINITY);
            for (int i = j; i < end; i += LANES) {
                high = V_MAX(high, get(x + i, n - i, -INFINITY));
            }
            if (!(V_TOP(high) > top[s->k - 1])) {
                continue;
            }
        }
        for (int i = j; i < end; i++) {
            count = ck_insert(top, ids, count, s->k, x[i], i);
        }
    }
    double m = top[0], t = s->temperature, of_top = 0;
    for (int j = 0; j < s->k; j++) {
        of_top += exp((top[j] - m) / t);
        x[ids[j]] = -INFINITY;
    }
    double others = fmax(NAME(sum_exp)(x, n, (float) m, 1 / s->temperature), CK_LEAST_REST), all = log(of_top + others);
    for (int j = 0; j < s->k; j++) {
        top[j] = (float) ((top[j] - m) / t - all);
    }
    s->rest[row] = (float) (log(others) - all);
}

SIMD void NAME(distill_row)(float * x, int n, int target, const ck_soft * s, int64_t row, bool grad, float scale, double * loss,
                            double * kl, int32_t * correct) {
    const int32_t * ids  = s->ids + row * s->k;
    const float *   logq = s->logp + row * s->k;
    V               vm   = V_SET(-INFINITY);
    for (int j = 0; j < n; j += LANES) {
        vm = V_MAX(vm, get(x + j, n - j, -INFINITY));
    }
    float  m = V_TOP(vm), cool = 1 / s->temperature;
    double t = s->temperature, hard = NAME(sum_exp)(x, n, m, 1), of_top = 0;
    *loss    = log(hard) + (double) m - x[target];
    *correct = ck_first_largest(x, target, m);

    float z[s->k]; // the logits of the k tokens
    for (int j = 0; j < s->k; j++) {
        z[j] = x[ids[j]];
        of_top += exp(((double) z[j] - m) / t);
    }
    for (int j = 0; j < s->k; j++) {
        x[ids[j]] = -INFINITY;
    }
    double others = fmax(NAME(sum_exp)(x, n, m, cool), CK_LEAST_REST), all = of_top + others, log_all = log(all), q_rest = exp(s->rest[row]);
    *kl = q_rest * (s->rest[row] - (log(others) - log_all));
    for (int j = 0; j < s->k; j++) {
        *kl += exp(logq[j]) * (logq[j] - (((double) z[j] - m) / t - log_all));
    }
    if (!grad) {
        return;
    }
    double soft = (1 - s->alpha) * t / all, rest = soft * (1 - q_rest * all / others);
    V      a = V_SET((float) (scale * s->alpha / hard)), b = V_SET((float) (scale * rest)), c = V_SET(cool);
    vm = V_SET(m);
    for (int j = 0; j < n; j += LANES) {
        V d = V_SUB(get(x + j, n - j, -INFINITY), vm);
        put(x + j, n - j, V_FMA(a, exp_v(d), V_MUL(b, exp_v(V_MUL(c, d)))));
    }
    for (int j = 0; j < s->k; j++) {
        double d = (double) z[j] - m;
        x[ids[j]] = (float) (scale * (s->alpha * exp(d) / hard + soft * (exp(d / t) - exp(logq[j]) * all)));
    }
    x[target] -= scale * s->alpha;
}
