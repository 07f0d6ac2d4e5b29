// Every entry point and every kernel against a loop in double.
//   test            checks, one line for each kind of call; exit status 1 if one fails, 77 if there is no card
//   test bench      then also the rate of each kernel on the products of an 8B model's training
// On a card each part runs in a process of its own (test PART), so that one that breaks the card's context leaves
// the others their results.
// With nvcc (cu.sh --program) it runs on a card; with g++ -x c++ -DCUBLAS_HOST -Ihost on the host build, where it
// also checks the choice of kernels.
#ifdef CUBLAS_HOST
#include "host/cublas.cpp"
#else
#include <cuda_runtime.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gemm.h"
#include "half.h"
#endif

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <vector>

using namespace cloister_blas;

static int failures = 0;

static void fail(const std::string & what) {
    if (++failures <= 40) printf("FAIL %s\n", what.c_str()); // the rest are counted
}

// Memory of the card, or of the host in its place.
#ifdef CUBLAS_HOST
static void * card_alloc(size_t n) { return aligned_alloc(256, (n + 255) / 256 * 256); }
static void card_free(void * p) { free(p); }
static bool card_copy(void * to, const void * from, size_t n) { return memcpy(to, from, n) != nullptr; }
static std::string card_error() { return ""; }
#else
static void * card_alloc(size_t n) {
    void * p = nullptr;
    return cudaMalloc(&p, n ? n : 1) == cudaSuccess ? p : nullptr;
}
static void card_free(void * p) { cudaFree(p); }
static bool card_copy(void * to, const void * from, size_t n) { return cudaMemcpy(to, from, n, cudaMemcpyDefault) == cudaSuccess; }
static std::string card_error() {
    cudaError_t e = cudaDeviceSynchronize();
    return e == cudaSuccess ? "" : std::string(" ") + cudaGetErrorName(e);
}
#endif

// A matrix store of one type, on the host as doubles and on the card.
struct Store {
    Type                type;
    std::vector<double> value;
    std::vector<char>   bytes;
    char *              card = nullptr;
    size_t              skip = 0; // bytes before the first element: another alignment

    Store(Type t, size_t n, size_t skip_elements) : type(t), value(n), bytes((n + skip_elements) * size_of(t)), skip(skip_elements * size_of(t)) {
        card = static_cast<char *>(card_alloc(bytes.size()));
    }
    ~Store() { card_free(card); }
    Store(const Store &) = delete;

    void set(size_t i, double x) {
        char * p = bytes.data() + skip + i * size_of(type);
        if (type == Type::F32) {
            float f = float(x);
            memcpy(p, &f, 4), value[i] = f;
        } else if (type == Type::F16) {
            Half h;
            from_float(float(x), h);
            memcpy(p, &h, 2), value[i] = to_float(h);
        } else {
            uint32_t u;
            float    f = float(x);
            memcpy(&u, &f, 4);
            BFloat b{uint16_t(u >> 16 | (std::isnan(x) ? 1 : 0))};
            memcpy(p, &b, 2), value[i] = to_float(b);
        }
    }
    double got(size_t i) const {
        const char * p = bytes.data() + skip + i * size_of(type);
        if (type == Type::F32) { float f; memcpy(&f, p, 4); return f; }
        Half h;
        memcpy(&h, p, 2);
        return type == Type::F16 ? to_float(h) : to_float(BFloat{h.bits});
    }
    void * at(size_t i) const { return card + skip + i * size_of(type); }
    void   up() { if (!card_copy(card, bytes.data(), bytes.size())) fail("copy to the card"); }
    void   down() { if (!card_copy(bytes.data(), card, bytes.size())) fail("copy from the card"); }
};

// One product: everything that a call can vary.
struct Case {
    bool  ta, tb;
    int   m, n, k;
    int   pad_a = 0, pad_b = 0, pad_c = 0; // beyond the least leading dimension
    float alpha = 1, beta = 0;
    int   batch = 1;
    Type  in = Type::F32, out = Type::F32;
    bool  tf32 = false, array = false;
    int   skip = 0; // elements that every matrix is shifted by

    std::string name() const {
        static const char * types[] = {"f32", "f16", "bf16"};
        char s[200];
        snprintf(s, sizeof s, "%s->%s %c%c m=%d n=%d k=%d pads %d %d %d alpha=%g beta=%g batch=%d%s%s skip=%d", types[int(in)], types[int(out)],
            ta ? 'T' : 'N', tb ? 'T' : 'N', m, n, k, pad_a, pad_b, pad_c, alpha, beta, batch, array ? " array" : "", tf32 ? " tf32" : "", skip);
        return s;
    }
};

static std::mt19937 rng(7);
static double draw() { return std::uniform_real_distribution<double>(-1, 1)(rng); }

// Runs a case by call, compares, and returns the worst error in units of the tolerance; below 0 if the call says
// that it cannot (status not supported).
static double run_case(const Case & t, const std::function<cublasStatus_t(const Gemm &)> & call, const std::string & what) {
    int64_t lda = std::max(1, t.ta ? t.k : t.m) + t.pad_a, ldb = std::max(1, t.tb ? t.n : t.k) + t.pad_b, ldc = std::max(1, t.m) + t.pad_c;
    // Batches lie apart, so that a wrong stride shows, by a multiple of 8 elements, so that it keeps alignment.
    auto    apart = [&](int64_t n) { return (n + 15) / 8 * 8 + (t.skip ? 1 : 0); };
    int64_t sa = apart(lda * std::max(1, t.ta ? t.m : t.k)), sb = apart(ldb * std::max(1, t.tb ? t.k : t.n)), sc = apart(ldc * std::max(1, t.n));
    Store   A(t.in, sa * t.batch, t.skip), B(t.in, sb * t.batch, t.skip), C(t.out, sc * t.batch, t.skip);
    double  nan = std::numeric_limits<double>::quiet_NaN();
    for (size_t i = 0; i < A.value.size(); i++) A.set(i, t.alpha == 0 ? nan : draw()); // alpha = 0 does not read A
    for (size_t i = 0; i < B.value.size(); i++) B.set(i, t.alpha == 0 ? nan : draw());
    for (size_t i = 0; i < C.value.size(); i++) C.set(i, 77); // what lies between columns must stay
    for (int b = 0; b < t.batch; b++)
        for (int64_t j = 0; j < t.n; j++)
            for (int64_t i = 0; i < t.m; i++) C.set(b * sc + j * ldc + i, t.beta == 0 ? nan : draw()); // beta = 0 does not read C
    A.up(), B.up(), C.up();
    Gemm g{};
    g.ta = t.ta, g.tb = t.tb, g.m = t.m, g.n = t.n, g.k = t.k, g.alpha = t.alpha, g.beta = t.beta;
    g.A = A.at(0), g.B = B.at(0), g.C = C.at(0);
    g.lda = int(lda), g.ldb = int(ldb), g.ldc = int(ldc), g.sa = sa, g.sb = sb, g.sc = sc;
    g.batch = t.batch, g.array = t.array, g.in = t.in, g.out = t.out, g.tf32 = t.tf32;
    void * arrays = nullptr;
    if (t.array) {
        std::vector<void *> p(3 * t.batch);
        for (int b = 0; b < t.batch; b++) p[b] = A.at(b * sa), p[t.batch + b] = B.at(b * sb), p[2 * t.batch + b] = C.at(b * sc);
        arrays = card_alloc(p.size() * sizeof(void *));
        if (!card_copy(arrays, p.data(), p.size() * sizeof(void *))) fail("copy to the card");
        g.A = static_cast<void **>(arrays), g.B = static_cast<void **>(arrays) + t.batch, g.C = static_cast<void **>(arrays) + 2 * t.batch;
    }
    cublasStatus_t status = call(g);
    std::string    error  = card_error();
    C.down();
    if (arrays) card_free(arrays);
    if (status == CUBLAS_STATUS_NOT_SUPPORTED) return -1;
    if (status != CUBLAS_STATUS_SUCCESS || !error.empty()) {
        fail(what + ": " + t.name() + ": " + cublasGetStatusString(status) + error);
        return 1e9;
    }
    double worst = 0;
    for (int b = 0; b < t.batch; b++) {
        for (int64_t j = 0; j < t.n; j++) {
            for (int64_t i = 0; i < t.m; i++) {
                double sum = 0, size = 0;
                for (int64_t l = 0; l < t.k && t.alpha != 0; l++) {
                    double x = A.value[b * sa + (t.ta ? i * lda + l : l * lda + i)] * B.value[b * sb + (t.tb ? l * ldb + j : j * ldb + l)];
                    sum += x, size += std::fabs(x);
                }
                size_t at = b * sc + j * ldc + i;
                double c = t.beta == 0 ? 0 : t.beta * C.value[at], want = t.alpha * sum + c;
                // Products of 16-bit floats are exact; sums round, on tensor cores perhaps downwards; TF32 rounds inputs.
                double unit = std::ldexp(1.0, -24);
                double allowed = (size * std::fabs(t.alpha) + std::fabs(c)) * (4 + 2 * std::sqrt(double(t.k))) * unit + 1e-30;
                if (t.tf32) allowed += size * std::fabs(t.alpha) * std::ldexp(1.0, -10);
                if (t.out == Type::F16) allowed += std::fabs(want) * std::ldexp(1.0, -11) + std::ldexp(1.0, -24);
                double off = std::fabs(C.got(at) - want) / allowed;
                if (!(off <= worst)) worst = std::isnan(off) ? 1e9 : off;
            }
        }
    }
    for (size_t i = 0; i < C.value.size(); i++) {
        size_t in = i % sc, col = in / ldc, row = in % ldc;
        if ((col >= size_t(t.n) || row >= size_t(t.m)) && C.got(i) != 77) {
            fail(what + ": " + t.name() + ": wrote outside C");
            break;
        }
    }
    if (worst > 1) {
        char s[60];
        snprintf(s, sizeof s, ": error is %.3g of what is allowed", worst);
        fail(what + ": " + t.name() + s);
    }
    return worst;
}

// The public entry points, each as a call of Gemm.
static cublasHandle_t handle;
static cublasOperation_t op(bool t) { return t ? CUBLAS_OP_T : CUBLAS_OP_N; }
static cudaDataType data_type(Type t) { return t == Type::F32 ? CUDA_R_32F : t == Type::F16 ? CUDA_R_16F : CUDA_R_16BF; }

static cublasStatus_t sgemm(const Gemm & g) {
    const float * A = static_cast<const float *>(g.A);
    const float * B = static_cast<const float *>(g.B);
    float *       C = static_cast<float *>(g.C);
    if (g.array) {
        return cublasSgemmBatched(handle, op(g.ta), op(g.tb), g.m, g.n, g.k, &g.alpha, static_cast<const float * const *>(g.A), g.lda,
            static_cast<const float * const *>(g.B), g.ldb, &g.beta, static_cast<float * const *>(g.C), g.ldc, g.batch);
    }
    if (g.batch > 1) return cublasSgemmStridedBatched(handle, op(g.ta), op(g.tb), g.m, g.n, g.k, &g.alpha, A, g.lda, g.sa, B, g.ldb, g.sb, &g.beta, C, g.ldc, g.sc, g.batch);
    return cublasSgemm(handle, op(g.ta), op(g.tb), g.m, g.n, g.k, &g.alpha, A, g.lda, B, g.ldb, &g.beta, C, g.ldc);
}

static cublasStatus_t gemm_ex(const Gemm & g) {
    cudaDataType in = data_type(g.in), out = data_type(g.out);
    bool         half = g.out == Type::F16;
    Half         ha, hb;
    from_float(g.alpha, ha), from_float(g.beta, hb);
    const void * alpha = half ? static_cast<const void *>(&ha) : &g.alpha;
    const void * beta  = half ? static_cast<const void *>(&hb) : &g.beta;
    auto compute = half ? CUBLAS_COMPUTE_16F : CUBLAS_COMPUTE_32F;
    auto algo    = CUBLAS_GEMM_DEFAULT_TENSOR_OP;
    if (g.array) {
        return cublasGemmBatchedEx(handle, op(g.ta), op(g.tb), g.m, g.n, g.k, alpha, static_cast<const void * const *>(g.A), in, g.lda,
            static_cast<const void * const *>(g.B), in, g.ldb, beta, static_cast<void * const *>(g.C), out, g.ldc, g.batch, compute, algo);
    }
    if (g.batch > 1) {
        return cublasGemmStridedBatchedEx(handle, op(g.ta), op(g.tb), g.m, g.n, g.k, alpha, g.A, in, g.lda, g.sa, g.B, in, g.ldb, g.sb,
            beta, g.C, out, g.ldc, g.sc, g.batch, compute, algo);
    }
    return cublasGemmEx(handle, op(g.ta), op(g.tb), g.m, g.n, g.k, alpha, g.A, in, g.lda, g.B, in, g.ldb, beta, g.C, out, g.ldc, compute, algo);
}

static const int sizes[][3] = {{64, 64, 64}, {136, 72, 96}, {17, 33, 65}, {1, 1, 1}, {128, 1, 40}, {3, 130, 7}, {200, 144, 8}, {66, 34, 130}, {40, 24, 0}};
static const float scales[][2] = {{1, 0}, {1, 1}, {0.5f, -2}, {0, 0}, {0, 1.5f}};

// All shapes, operations and scales of one kind of call.
static void check_entry(const std::string & what, Case t, const std::function<cublasStatus_t(const Gemm &)> & call) {
    double worst = 0;
    int    n = 0, before = failures;
    for (auto & s : sizes) {
        for (int o = 0; o < 4; o++) {
            for (auto & scale : scales) {
                static const int pad[][3] = {{0, 0, 0}, {8, 16, 24}, {3, 1, 5}};
                auto & p = pad[n % 3]; // 3 and 5 have no common divisor: every scale meets every padding
                t.m = s[0], t.n = s[1], t.k = s[2], t.ta = o & 1, t.tb = o & 2;
                t.alpha = scale[0], t.beta = scale[1];
                t.pad_a = p[0], t.pad_b = p[1], t.pad_c = p[2];
                t.skip = n % 3 == 2 && o == 3 && !t.array ? 1 : 0;
                double w = run_case(t, call, what);
                if (w < 0) fail(what + ": " + t.name() + ": not supported");
                worst = std::max(worst, w), n++;
            }
        }
    }
    printf("%s %-36s %4d products, worst error %.2f of the allowed\n", failures == before ? "ok  " : "FAIL", what.c_str(), n, worst);
}

static const int kinds = 5;

static void check_entries(int kind) {
    Case f32{}, tf32{}, bf16{}, f16{}, f16f32{};
    tf32.tf32 = true;
    bf16.in   = Type::BF16;
    f16.in = f16.out = f16f32.in = Type::F16;
    struct { const char * name; Case t; } table[kinds] = {{"f32->f32", f32}, {"f32->f32 tf32", tf32}, {"bf16->f32", bf16}, {"f16->f32", f16f32}, {"f16->f16", f16}};
    auto & k = table[kind];
    cublasSetMathMode(handle, k.t.tf32 ? CUBLAS_TF32_TENSOR_OP_MATH : CUBLAS_DEFAULT_MATH);
    for (int form = 0; form < 3; form++) {
        Case t  = k.t;
        t.batch = form ? 3 : 1, t.array = form == 2;
        static const char * ex[] = {"GemmEx ", "GemmStridedBatchedEx ", "GemmBatchedEx "};
        static const char * s[]  = {"Sgemm ", "SgemmStridedBatched ", "SgemmBatched "};
        check_entry(std::string(ex[form]) + k.name, t, gemm_ex);
        if (t.in == Type::F32) check_entry(std::string(s[form]) + k.name, t, sgemm);
    }
    cublasSetMathMode(handle, CUBLAS_DEFAULT_MATH);
}

// Each kernel by name, on shapes of its own tile, each layout, alone and with split sums.
static void check_kernel(int id) {
    const Kernel & k = kernel_table[id];
    Case           t{};
    t.in = k.in, t.out = k.out, t.tf32 = k.tf32;
    double worst = 0;
    int    n = 0, before = failures;
    for (int o = 0; o < 4; o++) {
        for (int shape = 0; shape < 4; shape++) {
            for (int s : {1, 3}) {
                for (float beta : {0.0f, 1.0f}) {
                    int big = 8; // what every kernel's accesses divide
                    t.ta = o & 1, t.tb = o & 2, t.beta = beta, t.alpha = shape == 3 ? -0.5f : 1;
                    t.m = shape == 0 ? k.tn : shape == 1 ? k.tn + big : shape == 2 ? big : 2 * k.tn - big;
                    t.n = shape == 0 ? k.tm : shape == 1 ? k.tm + big : shape == 2 ? 3 * big : big;
                    t.k = shape == 0 ? 4 * k.tk : shape == 1 ? 5 * k.tk + big : shape == 2 ? big : 3 * k.tk - big;
                    t.pad_a = t.pad_b = t.pad_c = shape == 3 ? 8 : 0;
                    if (k.align_in < 4 && shape > 0) t.m += 2, t.n += 2, t.k += 2;
                    if (k.align_out == 1 && shape == 1) t.ta ? t.m++ : t.m += 0;
                    t.batch = shape == 3 && s == 1 ? 2 : 1;
                    t.array = shape == 3 && s == 1 && beta == 0 && k.family != Family::HOPPER;
                    double w = run_case(t, [&](const Gemm & g) {
                        Launch l = row_major(g);
                        l.kernel = KernelId(id), l.splits = s;
                        bool can = fits(handle->device, k, l, g.tf32) && (s == 1 || splits(k, l));
                        return can ? run(*handle, l) : CUBLAS_STATUS_NOT_SUPPORTED;
                    }, k.name);
                    if (w >= 0) worst = std::max(worst, w), n++;
                }
            }
        }
    }
    if (n == 0) printf("--   kernel %-20s not for this card\n", k.name);
    else printf("%s kernel %-20s %4d products, worst error %.2f of the allowed\n", failures == before ? "ok  " : "FAIL", k.name, n, worst);
}

static void check_trsm() {
    double worst = 0;
    int    n = 0, before = failures;
    for (int bits = 0; bits < 16; bits++) {
        for (int size : {1, 5, 70}) {
            for (float alpha : {1.0f, -0.5f, 0.0f}) {
                bool left = bits & 1, upper = bits & 2, trans = bits & 4, unit = bits & 8;
                int  m = left ? size : 9, k = left ? 9 : size, batch = 2; // B is m x k
                int  lda = size + 3, ldb = m + 2;
                Store A(Type::F32, size_t(lda) * size * batch, 0), B(Type::F32, size_t(ldb) * k * batch, 0);
                for (size_t i = 0; i < A.value.size(); i++) A.set(i, draw() / size);
                for (int b = 0; b < batch; b++)
                    for (int i = 0; i < size; i++) {
                        for (int j = 0; j < size; j++)
                            if (upper ? i > j : i < j) A.set(size_t(b) * lda * size + i + j * lda, NAN); // not read
                        A.set(size_t(b) * lda * size + i + i * lda, unit ? NAN : 1.5 + draw() / 2);
                    }
                for (size_t i = 0; i < B.value.size(); i++) B.set(i, draw());
                A.up(), B.up();
                std::vector<void *> p;
                for (int b = 0; b < batch; b++) p.push_back(A.at(size_t(b) * lda * size));
                for (int b = 0; b < batch; b++) p.push_back(B.at(size_t(b) * ldb * k));
                void ** arrays = static_cast<void **>(card_alloc(p.size() * sizeof(void *)));
                card_copy(arrays, p.data(), p.size() * sizeof(void *));
                cublasStatus_t s = cublasStrsmBatched(handle, left ? CUBLAS_SIDE_LEFT : CUBLAS_SIDE_RIGHT, upper ? CUBLAS_FILL_MODE_UPPER : CUBLAS_FILL_MODE_LOWER,
                    op(trans), unit ? CUBLAS_DIAG_UNIT : CUBLAS_DIAG_NON_UNIT, m, k, &alpha, reinterpret_cast<float **>(arrays), lda, reinterpret_cast<float **>(arrays + batch), ldb, batch);
                if (s != CUBLAS_STATUS_SUCCESS || !card_error().empty()) fail("StrsmBatched");
                B.down();
                card_free(arrays);
                // op(A) X or X op(A) must be alpha B.
                auto a = [&](int b, int i, int j) {
                    if (trans) std::swap(i, j);
                    if (i == j && unit) return 1.0;
                    return (upper ? i > j : i < j) ? 0.0 : A.value[size_t(b) * lda * size + i + j * lda];
                };
                for (int b = 0; b < batch; b++)
                    for (int i = 0; i < m; i++)
                        for (int j = 0; j < k; j++) {
                            double sum = 0, mass = 0;
                            auto   x = [&](int r, int c) { return B.got(size_t(b) * ldb * k + r + size_t(c) * ldb); };
                            for (int l = 0; l < size; l++) {
                                double v = left ? a(b, i, l) * x(l, j) : x(i, l) * a(b, l, j);
                                sum += v, mass += std::fabs(v);
                            }
                            double want = alpha * B.value[size_t(b) * ldb * k + i + size_t(j) * ldb];
                            double off  = std::fabs(sum - want) / ((mass + std::fabs(want)) * 4e-6 + 1e-30);
                            if (!(off <= worst)) worst = std::isnan(off) ? 1e9 : off;
                        }
                n++;
            }
        }
    }
    if (worst > 1) fail("StrsmBatched");
    printf("%s %-36s %4d systems, worst error %.2f of the allowed\n", failures == before ? "ok  " : "FAIL", "StrsmBatched", n, worst);
}

// What a call must refuse, and what it must do without a launch.
static void check_arguments() {
    int   before = failures;
    float one = 1, zero = 0;
    float * x = static_cast<float *>(card_alloc(4096));
    auto expect = [](cublasStatus_t got, cublasStatus_t want, const char * what) {
        if (got != want) fail(std::string("arguments: ") + what + ": " + cublasGetStatusString(got));
    };
    auto s = [&](int m, int n, int k, int lda, int ldb, int ldc) { return cublasSgemm(handle, CUBLAS_OP_N, CUBLAS_OP_N, m, n, k, &one, x, lda, x, ldb, &zero, x, ldc); };
    expect(s(-1, 1, 1, 1, 1, 1), CUBLAS_STATUS_INVALID_VALUE, "m < 0");
    expect(s(1, -1, 1, 1, 1, 1), CUBLAS_STATUS_INVALID_VALUE, "n < 0");
    expect(s(1, 1, -1, 1, 1, 1), CUBLAS_STATUS_INVALID_VALUE, "k < 0");
    expect(s(4, 4, 4, 3, 4, 4), CUBLAS_STATUS_INVALID_VALUE, "lda < m");
    expect(s(4, 4, 4, 4, 3, 4), CUBLAS_STATUS_INVALID_VALUE, "ldb < k");
    expect(s(4, 4, 4, 4, 4, 3), CUBLAS_STATUS_INVALID_VALUE, "ldc < m");
    expect(s(0, 4, 4, 1, 4, 0), CUBLAS_STATUS_INVALID_VALUE, "ldc < 1");
    expect(s(0, 4, 4, 1, 4, 1), CUBLAS_STATUS_SUCCESS, "m = 0");
    expect(cublasSgemm(handle, CUBLAS_OP_T, CUBLAS_OP_T, 2, 8, 4, &one, x, 3, x, 8, &zero, x, 2), CUBLAS_STATUS_INVALID_VALUE, "transposed lda < k");
    expect(cublasSgemm(handle, CUBLAS_OP_T, CUBLAS_OP_T, 2, 8, 4, &one, x, 4, x, 7, &zero, x, 2), CUBLAS_STATUS_INVALID_VALUE, "transposed ldb < n");
    expect(cublasSgemm(handle, cublasOperation_t(9), CUBLAS_OP_N, 1, 1, 1, &one, x, 1, x, 1, &zero, x, 1), CUBLAS_STATUS_INVALID_VALUE, "unknown op");
    expect(cublasSgemm(handle, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 1, nullptr, x, 1, x, 1, &zero, x, 1), CUBLAS_STATUS_INVALID_VALUE, "no alpha");
    expect(cublasSgemm(handle, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 1, &one, nullptr, 1, x, 1, &zero, x, 1), CUBLAS_STATUS_INVALID_VALUE, "no A");
    expect(cublasSgemm(nullptr, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 1, &one, x, 1, x, 1, &zero, x, 1), CUBLAS_STATUS_NOT_INITIALIZED, "no handle");
    expect(cublasSgemmStridedBatched(handle, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 1, &one, x, 1, 1, x, 1, 1, &zero, x, 1, 1, -1), CUBLAS_STATUS_INVALID_VALUE, "batch < 0");
    expect(cublasSgemmStridedBatched(handle, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 1, &one, x, 1, 1, x, 1, 1, &zero, x, 1, 1, 0), CUBLAS_STATUS_SUCCESS, "batch = 0");
    auto ex = [&](cudaDataType a, cudaDataType b, cudaDataType c, cublasComputeType_t t) {
        return cublasGemmEx(handle, CUBLAS_OP_N, CUBLAS_OP_N, 8, 8, 8, &one, x, a, 8, x, b, 8, &zero, x + 512, c, 8, t, CUBLAS_GEMM_DEFAULT);
    };
    expect(ex(CUDA_R_16BF, CUDA_R_16F, CUDA_R_32F, CUBLAS_COMPUTE_32F), CUBLAS_STATUS_NOT_SUPPORTED, "mixed inputs");
    expect(ex(CUDA_R_32F, CUDA_R_32F, CUDA_R_16F, CUBLAS_COMPUTE_32F), CUBLAS_STATUS_NOT_SUPPORTED, "float into half");
    expect(ex(CUDA_R_16BF, CUDA_R_16BF, CUDA_R_32F, CUBLAS_COMPUTE_16F), CUBLAS_STATUS_NOT_SUPPORTED, "bf16 in half");
    expect(ex(CUDA_R_8I, CUDA_R_8I, CUDA_R_32F, CUBLAS_COMPUTE_32F), CUBLAS_STATUS_NOT_SUPPORTED, "integers");
    expect(ex(CUDA_R_16F, CUDA_R_16F, CUDA_R_16F, CUBLAS_COMPUTE_32F), CUBLAS_STATUS_SUCCESS, "half by float");
    expect(ex(CUDA_R_32F, CUDA_R_32F, CUDA_R_32F, CUBLAS_COMPUTE_32F_FAST_TF32), CUBLAS_STATUS_SUCCESS, "float by TF32");
    expect(cublasStrsmBatched(handle, CUBLAS_SIDE_LEFT, CUBLAS_FILL_MODE_FULL, CUBLAS_OP_N, CUBLAS_DIAG_UNIT, 1, 1, &one, nullptr, 1, nullptr, 1, 1), CUBLAS_STATUS_INVALID_VALUE, "full fill");
    expect(cublasSetMathMode(handle, cublasMath_t(8)), CUBLAS_STATUS_INVALID_VALUE, "math mode");
    expect(cublasSetWorkspace(handle, reinterpret_cast<char *>(x) + 4, 64), CUBLAS_STATUS_INVALID_VALUE, "crooked workspace");
    expect(cublasCreate(nullptr), CUBLAS_STATUS_INVALID_VALUE, "no place for a handle");
    // More matrices than a grid has layers.
    int            many = 33000;
    Store          A(Type::F32, many, 0), C(Type::F32, many, 0);
    for (int i = 0; i < many; i++) A.set(i, i % 1000);
    A.up();
    expect(cublasSgemmStridedBatched(handle, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 1, &one, (float *)A.at(0), 1, 1, (float *)A.at(1), 1, 0, &zero, (float *)C.at(0), 1, 1, many), CUBLAS_STATUS_SUCCESS, "33,000 matrices");
    if (!card_error().empty()) fail("arguments: the card");
    C.down();
    for (int i = 0; i < many; i++)
        if (C.got(i) != i % 1000) { fail("arguments: matrix " + std::to_string(i) + " of 33,000 is wrong"); break; }
    card_free(x);
    printf("%s arguments\n", failures == before ? "ok  " : "FAIL");
}

#ifdef CUBLAS_HOST
#include "test_plan.cc"
#else
#include "test_bench.cc"
#endif

// The parts, in order; false if there is no part of this number.
static bool run_part(int part) {
    if (part == 0) check_arguments();
    else if (part == 1) check_trsm();
    else if (part - 2 < kinds) check_entries(part - 2);
    else if (part - 2 - kinds < KERNELS) check_kernel(part - 2 - kinds);
    else return false;
    return true;
}

#ifdef CUBLAS_HOST
int main() {
    if (cublasCreate(&handle) != CUBLAS_STATUS_SUCCESS) return 1;
    check_plan();
    for (int part = 0; run_part(part); part++) {}
    cublasDestroy(handle);
    printf(failures ? "%d failures\n" : "all pass\n", failures);
    return failures ? 1 : 0;
}
#else
static int child(const std::string & part, char * self) {
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        execl("/proc/self/exe", self, part.c_str(), nullptr);
        _exit(126);
    }
    int status = -1;
    if (pid < 0 || waitpid(pid, &status, 0) < 0) return 1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(int argc, char ** argv) {
    bool        with_bench = argc > 1 && !strcmp(argv[1], "bench");
    std::string part       = argc > 1 && !with_bench ? argv[1] : "";
    if (part.empty()) {
        int failed = 0, count = 2 + kinds + KERNELS;
        for (int i = 0; i < count + (with_bench ? 1 : 0); i++) {
            int status = child(i < count ? std::to_string(i) : "rates", argv[0]);
            if (status == 77) return 77;
            if (status > 1) printf("FAIL part %d ended with %d\n", i, status);
            failed += status != 0;
        }
        printf(failed ? "%d parts fail\n" : "all pass\n", failed);
        return failed ? 1 : 0;
    }
    if (cublasStatus_t s = cublasCreate(&handle)) {
        printf("no card: %s\n", cublasGetStatusString(s));
        return 77;
    }
    if (part == "rates") bench();
    else if (part.find_first_not_of("0123456789") != std::string::npos || !run_part(atoi(part.c_str()))) {
        printf("no part %s\n", part.c_str());
        return 2;
    }
    return failures ? 1 : 0; // without Destroy: after a fault it would fail too
}
#endif
