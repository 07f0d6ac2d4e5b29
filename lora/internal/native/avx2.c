// AVX2 + FMA: norms, gated activations and cross-entropy, one row or range at a
// time. The plain C versions with the formulas are in naive.c.
#include "avx2.h"

#ifdef CK_X86
#include <math.h>

enum { SUM_BLOCK = 512 }; // values that are summed in float before the sum goes into a double

static CK_AVX2 double sum_products(const float * a, const float * b, const float * c, int n) {
    double total = 0;
    int    j = 0;
    while (j + 8 <= n) {
        int    end = ck_min(n, j + SUM_BLOCK);
        __m256 s   = _mm256_setzero_ps();
        for (; j + 8 <= end; j += 8) {
            __m256 x = _mm256_mul_ps(_mm256_loadu_ps(a + j), _mm256_loadu_ps(b + j));
            s        = c == NULL ? _mm256_add_ps(s, x) : _mm256_fmadd_ps(x, _mm256_loadu_ps(c + j), s);
        }
        total += ck_sum8(s);
    }
    for (; j < n; j++) {
        total += (double) a[j] * b[j] * (c == NULL ? 1 : c[j]);
    }
    return total;
}

CK_AVX2 void ck_avx2_rmsnorm_row(float * out, const float * x, const float * w, float eps, int n) {
    float  r  = (float) (1 / sqrt(sum_products(x, x, NULL, n) / n + eps));
    __m256 vr = _mm256_set1_ps(r);
    int    j = 0;
    for (; j + 8 <= n; j += 8) {
        _mm256_storeu_ps(out + j, _mm256_mul_ps(_mm256_mul_ps(_mm256_loadu_ps(x + j), vr), _mm256_loadu_ps(w + j)));
    }
    for (; j < n; j++) {
        out[j] = x[j] * r * w[j];
    }
}

CK_AVX2 void ck_avx2_rmsnorm_back_row(float * dx, const float * dy, const float * x, const float * w, float eps, int n) {
    double ss = sum_products(x, x, NULL, n) / n + eps;
    float  r  = (float) (1 / sqrt(ss));
    float  k  = (float) (sum_products(dy, w, x, n) / (ss * n)); // r²·Σ(dy·w·x)/n
    __m256 vr = _mm256_set1_ps(r), vk = _mm256_set1_ps(k);
    int    j = 0;
    for (; j + 8 <= n; j += 8) {
        __m256 g = _mm256_mul_ps(_mm256_loadu_ps(dy + j), _mm256_loadu_ps(w + j));
        g        = _mm256_fnmadd_ps(_mm256_loadu_ps(x + j), vk, g);
        _mm256_storeu_ps(dx + j, _mm256_fmadd_ps(g, vr, _mm256_loadu_ps(dx + j)));
    }
    for (; j < n; j++) {
        dx[j] += r * (dy[j] * w[j] - x[j] * k);
    }
}

// logistic is 1/(1+exp(-x)).
CK_INLINE __m256 logistic(__m256 x) {
    const __m256 one = _mm256_set1_ps(1);
    return _mm256_div_ps(one, _mm256_add_ps(one, ck_exp8(_mm256_sub_ps(_mm256_setzero_ps(), x))));
}

// activation returns act(g) and puts its derivative into *slope. The tanh form
// of GELU is g·logistic(2z) with z = √(2/π)·(g + 0.044715·g³).
CK_INLINE __m256 activation(__m256 g, int act, __m256 * slope) {
    const __m256 one = _mm256_set1_ps(1);
    __m256       s, dz = one;
    if (act == CK_SILU) {
        s = logistic(g);
    } else {
        const __m256 c = _mm256_set1_ps(1.5957691216057308f), k = _mm256_set1_ps(0.044715f), k3 = _mm256_set1_ps(0.134145f);
        __m256       gg = _mm256_mul_ps(g, g);
        s  = logistic(_mm256_mul_ps(_mm256_mul_ps(c, g), _mm256_fmadd_ps(k, gg, one)));
        dz = _mm256_mul_ps(c, _mm256_fmadd_ps(k3, gg, one));
    }
    __m256 y = _mm256_mul_ps(g, s);
    *slope   = _mm256_fmadd_ps(_mm256_mul_ps(y, _mm256_sub_ps(one, s)), dz, s);
    return y;
}

CK_AVX2 void ck_avx2_glu(float * out, const float * gate, const float * up, int64_t count, int act) {
    int64_t j = 0;
    __m256  slope;
    for (; j + 8 <= count; j += 8) {
        _mm256_storeu_ps(out + j, _mm256_mul_ps(activation(_mm256_loadu_ps(gate + j), act, &slope), _mm256_loadu_ps(up + j)));
    }
    for (; j < count; j++) {
        out[j] = _mm256_cvtss_f32(activation(_mm256_set1_ps(gate[j]), act, &slope)) * up[j];
    }
}

CK_AVX2 void ck_avx2_glu_back(float * d_gate, float * d_up, const float * d, const float * gate, const float * up, int64_t count, int act) {
    int64_t j = 0;
    __m256  slope;
    for (; j + 8 <= count; j += 8) {
        __m256 y = activation(_mm256_loadu_ps(gate + j), act, &slope), u = _mm256_loadu_ps(up + j), dj = _mm256_loadu_ps(d + j);
        _mm256_storeu_ps(d_up + j, _mm256_mul_ps(dj, y));
        _mm256_storeu_ps(d_gate + j, _mm256_mul_ps(_mm256_mul_ps(dj, u), slope));
    }
    for (; j < count; j++) {
        float y = _mm256_cvtss_f32(activation(_mm256_set1_ps(gate[j]), act, &slope)), u = up[j], dj = d[j];
        d_up[j]   = dj * y;
        d_gate[j] = dj * u * _mm256_cvtss_f32(slope);
    }
}

CK_AVX2 void ck_avx2_cross_entropy_row(float * x, int n, int target, bool grad, float scale, double * loss, int32_t * correct) {
    __m256 vm = _mm256_set1_ps(x[0]);
    int    j = 0;
    for (; j + 8 <= n; j += 8) {
        vm = _mm256_max_ps(vm, _mm256_loadu_ps(x + j));
    }
    float m = ck_max8(vm);
    for (; j < n; j++) {
        m = x[j] > m ? x[j] : m;
    }
    float hit = x[target];
    *correct  = hit == m;
    for (int i = 0; i < target && *correct; i++) {
        *correct = x[i] != m;
    }
    double total = 0;
    vm           = _mm256_set1_ps(m);
    for (j = 0; j + 8 <= n;) {
        int    end = ck_min(n, j + SUM_BLOCK);
        __m256 s   = _mm256_setzero_ps();
        for (; j + 8 <= end; j += 8) {
            __m256 e = ck_exp8(_mm256_sub_ps(_mm256_loadu_ps(x + j), vm));
            _mm256_storeu_ps(x + j, e);
            s = _mm256_add_ps(s, e);
        }
        total += ck_sum8(s);
    }
    for (; j < n; j++) {
        x[j] = ck_exp1(x[j] - m);
        total += x[j];
    }
    *loss = log(total) + m - hit;
    if (!grad) {
        return;
    }
    float  f  = (float) (scale / total);
    __m256 vf = _mm256_set1_ps(f);
    for (j = 0; j + 8 <= n; j += 8) {
        _mm256_storeu_ps(x + j, _mm256_mul_ps(_mm256_loadu_ps(x + j), vf));
    }
    for (; j < n; j++) {
        x[j] *= f;
    }
    x[target] -= scale;
}

#endif
