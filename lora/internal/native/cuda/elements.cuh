// Kernels that compute each value of a matrix by itself: memory bounds them, so
// neighbouring threads take neighbouring values and each takes four.
#ifndef CLOISTER_CUDA_ELEMENTS_CUH
#define CLOISTER_CUDA_ELEMENTS_CUH

#include "card.cuh"

static const int EACH_THREADS = 256, EACH_VALUES = 4;

// each calls f(row, column) for every value; parts blocks share a row.
template <class F> __global__ void __launch_bounds__(EACH_THREADS) each(F f, int64_t cols, unsigned parts) {
    int64_t row = blockIdx.x / parts, col = (int64_t) (blockIdx.x % parts) * (EACH_THREADS * EACH_VALUES) + threadIdx.x;
#pragma unroll
    for (int i = 0; i < EACH_VALUES; i++, col += EACH_THREADS) {
        if (col < cols) {
            f(row, col);
        }
    }
}

template <class F> int run_each(cd_card * c, const char * what, F f, int64_t rows, int64_t cols) {
    unsigned parts = blocks_for(cols, EACH_THREADS * EACH_VALUES);
    if (rows <= 0 || cols <= 0) {
        return c->failed;
    }
    if (rows * parts > 0x7fffffff) {
        return CK_SHAPE;
    }
    auto kernel = each<F>;
    LAUNCH(c, what, kernel, (unsigned) (rows * parts), EACH_THREADS, 0, f, cols, parts);
    return c->failed;
}

// flat makes one row of matrices without gaps, for functions that do not ask for the row.
static inline void flat(int64_t & rows, int64_t & cols, bool dense) {
    if (dense) {
        cols *= rows;
        rows = 1;
    }
}

static inline bool dense(const cd_mat & m) { return m.ld == m.cols; }
static inline float * floats(const cd_mat & m) { return (float *) m.data; }

#endif
