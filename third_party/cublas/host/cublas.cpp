// The library on the host, for tests without a card: device pointers are host pointers, a launch runs at once, and
// a handle's device is a card of the caller's choice that does not exist. Entry points, argument checks, choice of
// kernels and the plain kernels are those of the card's build; a tensor kernel's launch is done by a loop that reads
// the launch as the kernel does, sums in float, and refuses what the kernel could not address.
// Compile with -I of this folder, whose headers stand for those of CUDA.
#include "../api.hpp"
#include "../plan.hpp"
#include "../simt.h"

#include <cstdio>
#include <cstdlib>
#include <vector>

namespace cloister_blas {

// The card that new handles are for: an H100 unless a test says otherwise; and the last launch.
Device host_device{90, true, 132, 0};
Launch host_launch{};

cublasStatus_t open(cublasContext & c) {
    c.device    = host_device;
    c.own_bytes = 1 << 20;
    c.own       = aligned_alloc(256, c.own_bytes);
    return c.own ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_ALLOC_FAILED;
}

void close(cublasContext & c) {
    free(c.own);
    c.own = nullptr;
}

// What the tensor kernels round their inputs to.
static float rounded(float x, bool tf32) {
    if (!tf32) return x;
    uint32_t u;
    memcpy(&u, &x, 4);
    return bits_to_float((u + 0x1000) & 0xffffe000); // TF32 has 10 bits of mantissa
}

template <class In, class Out> static void tensor(const Launch & l, int matrix) {
    const Kernel & k = kernel_table[l.kernel];
    const In *     A = static_cast<const In *>(l.A) + matrix * l.sa;
    const In *     B = static_cast<const In *>(l.B) + matrix * l.sb;
    Out *          D = static_cast<Out *>(l.D) + matrix * l.sd;
    if (l.array) {
        A = static_cast<const In * const *>(l.A)[matrix], B = static_cast<const In * const *>(l.B)[matrix];
        D = static_cast<Out * const *>(l.D)[matrix];
    }
    uintptr_t bytes_in = k.align_in * sizeof(In), bytes_out = k.align_out * sizeof(Out);
    if (uintptr_t(A) % bytes_in || uintptr_t(B) % bytes_in || uintptr_t(D) % bytes_out) {
        fprintf(stderr, "cublas host: %s would read or write a misaligned address\n", k.name);
        abort();
    }
    bool a_rows = l.layout == ROW_ROW || l.layout == ROW_COL, b_rows = l.layout == ROW_ROW || l.layout == COL_ROW;
    // The rows of one product at a time, so that the inner loop runs along memory.
    std::vector<float> sum(l.N), b(l.N);
    for (int64_t m = 0; m < l.M; m++) {
        std::fill(sum.begin(), sum.end(), 0.0f);
        for (int64_t k0 = 0; k0 < l.K; k0++) {
            float a = rounded(to_float(A[a_rows ? m * l.lda + k0 : k0 * l.lda + m]), k.tf32);
            for (int64_t n = 0; n < l.N; n++) sum[n] += a * rounded(to_float(B[b_rows ? k0 * l.ldb + n : n * l.ldb + k0]), k.tf32);
        }
        for (int64_t n = 0; n < l.N; n++) {
            Out & d = D[m * l.ldd + n];
            from_float(l.alpha * sum[n] + (l.beta != 0 ? l.beta * to_float(d) : 0.0f), d);
        }
    }
}

// All threads of a block at once, from barrier to barrier.
template <class In, class Out, int T> static void simt(const Launch & l, int tile_m, int tile_n, int matrix) {
    using Thread = Simt<In, Out, T>;
    std::vector<Thread> threads;
    for (int t = 0; t < Thread::threads; t++) threads.emplace_back(l, t, tile_m, tile_n, matrix);
    std::vector<typename Thread::Shared> shared(1);
    int depth = Thread::depth(l), steps = (depth + Thread::step - 1) / Thread::step;
    if (steps > 0) for (auto & t : threads) t.fetch(0), t.put(shared[0], 0);
    for (int s = 0; s < steps; s++) {
        for (auto & t : threads) {
            if (s + 1 < steps) t.fetch((s + 1) * Thread::step);
            t.multiply(shared[0], s % 2);
            if (s + 1 < steps) t.put(shared[0], (s + 1) % 2);
        }
    }
    for (auto & t : threads) t.write();
}

template <class In, class Out, int T> static void simt(const Launch & l, int matrix) {
    for (int m = 0; m * T < l.M; m++)
        for (int n = 0; n * T < l.N; n++) simt<In, Out, T>(l, m, n, matrix);
}

cublasStatus_t run(cublasContext &, const Launch & l) {
    host_launch = l;
    if (l.kernel == KERNELS) return CUBLAS_STATUS_INTERNAL_ERROR;
    for (int i = 0; i < l.batch; i++) {
        switch (l.kernel) {
        case SIMT_F32_128: simt<float, float, 128>(l, i); break;
        case SIMT_F32_64: simt<float, float, 64>(l, i); break;
        case SIMT_BF16: simt<BFloat, float, 64>(l, i); break;
        case SIMT_F16_F32: simt<Half, float, 64>(l, i); break;
        case SIMT_F16_F16: simt<Half, Half, 64>(l, i); break;
        default:
            if (l.in == Type::F32) tensor<float, float>(l, i);
            else if (l.in == Type::BF16) tensor<BFloat, float>(l, i);
            else if (l.out == Type::F16) tensor<Half, Half>(l, i);
            else tensor<Half, float>(l, i);
        }
    }
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t run(cublasContext &, const Trsm & t) {
    for (int b = 0; b < t.batch; b++)
        for (int v = 0; v < (t.left ? t.n : t.m); v++) solve(t, b, v);
    return CUBLAS_STATUS_SUCCESS;
}

} // namespace cloister_blas
