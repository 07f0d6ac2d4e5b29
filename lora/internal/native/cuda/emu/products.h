// In place of cuBLAS: the same products in plain loops.
#ifndef CLOISTER_EMU_PRODUCTS_H
#define CLOISTER_EMU_PRODUCTS_H

#include "emu.h"

typedef void * cublasHandle_t;

namespace emu {

// values is op(X) [rows, cols], X column-major, as rows of doubles.
inline std::vector<double> values(const void * x, bool bf16, bool trans, int rows, int cols, int ld) {
    std::vector<double> out((size_t) rows * (size_t) cols);
    for (int i = 0; i < rows; i++) {
        for (int j = 0; j < cols; j++) {
            size_t at = trans ? (size_t) i * (size_t) ld + (size_t) j : (size_t) j * (size_t) ld + (size_t) i;
            out[(size_t) i * (size_t) cols + (size_t) j] = bf16 ? __bfloat162float(((const __nv_bfloat16 *) x)[at]) : ((const float *) x)[at];
        }
    }
    return out;
}

}  // namespace emu

inline const char * product(cublasHandle_t, cudaStream_t stream, bool ta, bool tb, int m, int n, int k, float alpha, const void * a, int lda,
                            const void * b, int ldb, bool bf16, float beta, float * c, int ldc) {
    if (m <= 0 || n <= 0 || k <= 0 || lda < (ta ? k : m) || ldb < (tb ? n : k) || ldc < m) {
        return "CUBLAS_STATUS_INVALID_VALUE";
    }
    emu::guard g(emu::S().lock);
    emu::give(stream, [=] {
        std::vector<double> x = emu::values(emu::device_pointer(b), bf16, !tb, n, k, ldb); // op(B)ᵀ
        std::vector<double> y = emu::values(emu::device_pointer(a), bf16, !ta, k, m, lda); // op(A)ᵀ
        std::vector<double> sum((size_t) m);
        float *             out = emu::device_pointer(c);
        for (int j = 0; j < n; j++) {
            std::fill(sum.begin(), sum.end(), 0.0);
            for (int l = 0; l < k; l++) {
                double         v   = x[(size_t) j * (size_t) k + (size_t) l];
                const double * row = &y[(size_t) l * (size_t) m];
                for (int i = 0; i < m; i++) {
                    sum[(size_t) i] += v * row[i];
                }
            }
            for (int i = 0; i < m; i++) {
                float * at = out + (size_t) j * (size_t) ldc + (size_t) i;
                *at        = (float) (alpha * sum[(size_t) i] + (beta != 0 ? (double) beta * *at : 0));
            }
        }
    });
    return nullptr;
}

#endif
