// What the parts of this library share: a checked call of cuBLAS, and the launch that it becomes.
// Nothing here needs a card or its compiler.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "include/cublas_v2.h"

namespace cloister_blas {

enum class Type : uint8_t { F32, F16, BF16 };

inline int size_of(Type t) { return t == Type::F32 ? 4 : 2; }

// One call, arguments checked, as cuBLAS has it: column-major, C = alpha op(A) op(B) + beta C,
// op(A) m x k, op(B) k x n. In array mode A, B and C are arrays of pointers in the card's memory.
struct Gemm {
    bool         ta, tb;
    int          m, n, k;
    float        alpha, beta;
    const void * A;
    const void * B;
    void *       C;
    int          lda, ldb, ldc; // elements
    int64_t      sa, sb, sc;    // elements from one matrix of a batch to the next
    int          batch;
    bool         array;
    Type         in, out;
    bool         tf32; // float inputs may be rounded to TF32
};

// What the choice of a kernel depends on.
struct Device {
    int    arch;      // that the code which runs on the card was compiled for, 75 for 7.5
    bool   hopper;    // the card is 9.0, and there is code of 9.0a for it
    int    sms;       // multiprocessors
    size_t workspace; // bytes, for the semaphores of split sums
};

// The kernels, in the order of kernel_table.
enum KernelId {
    SIMT_F32_128, SIMT_F32_64, SIMT_BF16, SIMT_F16_F32, SIMT_F16_F16,
    TURING_F16_F32, TURING_F16_F16,
    BF16_256, BF16_128, BF16_64, BF16_ODD, BF16_EVEN,
    F16_F32_256, F16_F32_128, F16_F32_64, F16_F32_EVEN,
    F16_F16_256, F16_F16_128, F16_F16_64,
    TF32_128, TF32_64,
    HOPPER_BF16_256, HOPPER_BF16_128, HOPPER_F16_F32, HOPPER_F16_F16,
    KERNELS,
};

// Layouts of the row-major product D = A B: whether A lies by rows and B by rows.
enum Layout { ROW_ROW = 0, ROW_COL = 1, COL_ROW = 2, COL_COL = 3 };
constexpr Layout layout_of(bool a_rows, bool b_rows) { return Layout((a_rows ? 0 : 2) | (b_rows ? 0 : 1)); }

enum class Family : uint8_t { SIMT, TURING, AMPERE, HOPPER };

// One kernel, in its four layouts.
struct Kernel {
    const char * name;
    Family       family;
    Type         in, out;
    bool         tf32;
    int          tm, tn, tk;          // the tile of D that one block makes, and its step along K
    int          align_in, align_out; // elements that one access moves
    double       speed;               // of one multiprocessor, relative to the fastest kernel of these types
    int          blocks;              // that a multiprocessor holds at once, as far as its shared memory goes
};

extern const Kernel kernel_table[KERNELS];

// One launch: row-major D (M x N, ld) = alpha A (M x K) B (K x N) + beta D. A column-major C is the
// row-major D of the swapped product, so A here is cuBLAS's B and the other way round.
struct Launch {
    KernelId     kernel;
    Layout       layout;
    int          M, N, K;
    float        alpha, beta;
    const void * A;
    const void * B;
    void *       D;
    int          lda, ldb, ldd;
    int64_t      sa, sb, sd;
    int          batch;
    bool         array;
    int          splits; // parts of K, each summed by blocks of its own, in order
    Type         in, out;
};

// The row-major form of a call, without a kernel, and whether a kernel can do it on a card.
Launch row_major(const Gemm & g);
bool   fits(const Device & d, const Kernel & k, const Launch & l, bool tf32);
bool   splits(const Kernel & k, const Launch & l); // whether blocks can share the sum of one tile

// The cheapest kernel that can do the call, and its arguments. There is always one.
Launch plan(const Device & d, const Gemm & g);

// The estimate that plan minimises, in cycles of one multiprocessor's matrix unit at full speed.
double cost(const Device & d, const Kernel & k, const Launch & l, int splits);

// A triangular system of equations for each matrix of a batch: side, fill and op as cuBLAS has them.
struct Trsm {
    bool                 left, upper, transposed, unit;
    int                  m, n;
    float                alpha;
    const float * const * A;
    float * const *      B;
    int                  lda, ldb, batch;
};

// What differs between the card and the host: both builds define these four.
cublasStatus_t open(cublasContext & c);
void           close(cublasContext & c);
cublasStatus_t run(cublasContext & c, const Launch & l);
cublasStatus_t run(cublasContext & c, const Trsm & t);

} // namespace cloister_blas

// What a handle stands for. Calls only read it, apart from the setters.
struct cublasContext {
    cloister_blas::Device device{};
    cudaStream_t          stream    = nullptr;
    bool                  tf32      = false;
    void *                workspace = nullptr; // the caller's or own
    void *                own       = nullptr;
    size_t                own_bytes = 0;
};
