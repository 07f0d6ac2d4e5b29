// The plain kernels, for what tensor cores cannot do: exact float products, any alignment, 16-bit floats on cards
// without their tensor cores, triangular systems. They are written as what one thread does between two barriers,
// so the host runs the same code thread by thread, without a card.
#pragma once

#include "gemm.h"
#include "half.h"

namespace cloister_blas {

// A product in tiles of T x T by 256 threads in a square of 16 x 16, each with T/16 x T/16 sums.
template <class In, class Out, int T> struct Simt {
    static constexpr int threads = 256, step = 16, each = T / 16;

    // Two tiles of each operand: one is read while the next is written.
    struct Shared {
        alignas(16) float a[2][step][T + 4];
        alignas(16) float b[2][step][T + 4];
    };

    const Launch & l;
    const In *     A;
    const In *     B;
    Out *          D;
    bool           a_rows, b_rows;
    int            t, row, col; // this thread, and its tile's first row and column
    float          sum[each][each];
    float          next_a[each], next_b[each];

    BLAS_HD Simt(const Launch & l, int t, int tile_m, int tile_n, int matrix) : l(l), t(t), row(tile_m * T), col(tile_n * T) {
        a_rows = l.layout == ROW_ROW || l.layout == ROW_COL;
        b_rows = l.layout == ROW_ROW || l.layout == COL_ROW;
        if (l.array) {
            A = static_cast<const In * const *>(l.A)[matrix];
            B = static_cast<const In * const *>(l.B)[matrix];
            D = static_cast<Out * const *>(l.D)[matrix];
        } else {
            A = static_cast<const In *>(l.A) + matrix * l.sa;
            B = static_cast<const In *>(l.B) + matrix * l.sb;
            D = static_cast<Out *>(l.D) + matrix * l.sd;
        }
        for (int i = 0; i < each; i++)
            for (int j = 0; j < each; j++) sum[i][j] = 0;
    }

    // Where this thread's i-th element of an operand's tile lies; threads side by side take elements side by side.
    BLAS_HD static void place(bool along_k, int t, int i, int & x, int & k) {
        if (along_k) {
            k = t % step, x = t / step + i * (threads / step);
        } else {
            x = t % T, k = t / T + i * (threads / T);
        }
    }

    BLAS_HD void fetch(int k0) {
BLAS_UNROLL
        for (int i = 0; i < each; i++) {
            int x, k;
            place(a_rows, t, i, x, k);
            int64_t m = row + x, kk = k0 + k;
            next_a[i] = m < l.M && kk < l.K ? to_float(A[a_rows ? m * l.lda + kk : kk * l.lda + m]) : 0.0f;
            place(!b_rows, t, i, x, k);
            int64_t n = col + x;
            kk        = k0 + k;
            next_b[i] = n < l.N && kk < l.K ? to_float(B[b_rows ? kk * l.ldb + n : n * l.ldb + kk]) : 0.0f;
        }
    }

    BLAS_HD void put(Shared & s, int buffer) const {
BLAS_UNROLL
        for (int i = 0; i < each; i++) {
            int x, k;
            place(a_rows, t, i, x, k);
            s.a[buffer][k][x] = next_a[i];
            place(!b_rows, t, i, x, k);
            s.b[buffer][k][x] = next_b[i];
        }
    }

    // This thread's sums are 4 x 4 squares, 64 apart, so that it reads four numbers at a time.
    BLAS_HD static int at(int thread, int i) { return thread * 4 + i / 4 * 64 + i % 4; }

    BLAS_HD void multiply(const Shared & s, int buffer) {
        struct alignas(16) Four { float v[4]; };
BLAS_UNROLL
        for (int k = 0; k < step; k++) {
            float a[each], b[each];
BLAS_UNROLL
            for (int i = 0; i < each; i += 4) {
                Four x = *reinterpret_cast<const Four *>(&s.a[buffer][k][at(t / 16, i)]);
                Four y = *reinterpret_cast<const Four *>(&s.b[buffer][k][at(t % 16, i)]);
BLAS_UNROLL
                for (int j = 0; j < 4; j++) a[i + j] = x.v[j], b[i + j] = y.v[j];
            }
BLAS_UNROLL
            for (int i = 0; i < each; i++)
BLAS_UNROLL
                for (int j = 0; j < each; j++) sum[i][j] += a[i] * b[j];
        }
    }

    BLAS_HD void write() const {
BLAS_UNROLL
        for (int i = 0; i < each; i++) {
            int64_t m = row + at(t / 16, i);
            if (m >= l.M) continue;
BLAS_UNROLL
            for (int j = 0; j < each; j++) {
                int n = col + at(t % 16, j);
                if (n >= l.N) continue;
                Out & d = D[m * l.ldd + n];
                float x = l.alpha * sum[i][j];
                if (l.beta != 0) x += l.beta * to_float(d); // beta = 0 does not read
                from_float(x, d);
            }
        }
    }

    // The number of elements along K that count: none where alpha is 0, whatever A and B hold.
    BLAS_HD static int depth(const Launch & l) { return l.alpha == 0 ? 0 : l.K; }
};

// Solves for one vector: sum over j of T[i][j] x[j] = alpha b[i], where T is A or its transpose. The vectors of a
// matrix are independent: the columns of X on the left side, its rows on the right side.
BLAS_HD void solve(const Trsm & t, int matrix, int vector) {
    const float * A    = t.A[matrix];
    float *       x    = t.B[matrix] + (t.left ? int64_t(vector) * t.ldb : vector);
    int64_t       next = t.left ? 1 : t.ldb;
    int           size = t.left ? t.m : t.n;
    bool          flip = t.left ? t.transposed : !t.transposed; // X op(A) = B is op(A)^T X^T = B^T
    bool          upper = t.upper != flip;
    for (int s = 0; s < size; s++) {
        int   i   = upper ? size - 1 - s : s;
        float sum = t.alpha == 0 ? 0 : t.alpha * x[i * next]; // alpha = 0 does not read B
        for (int r = 0; r < s; r++) {
            int j = upper ? size - 1 - r : r;
            sum -= (flip ? A[j + int64_t(i) * t.lda] : A[i + int64_t(j) * t.lda]) * x[j * next];
        }
        x[i * next] = t.unit ? sum : sum / A[i + int64_t(i) * t.lda];
    }
}

} // namespace cloister_blas
