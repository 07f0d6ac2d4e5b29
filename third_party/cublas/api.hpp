// cuBLAS's entry points: they check arguments as NVIDIA's reference says and turn each call into a launch.
#pragma once

#include "gemm.h"
#include "half.h"

#include <algorithm>
#include <new>

using namespace cloister_blas;

namespace {

bool known(cublasOperation_t op) { return op == CUBLAS_OP_N || op == CUBLAS_OP_T || op == CUBLAS_OP_C; }

bool type_of(cudaDataType t, Type & to) {
    switch (t) {
    case CUDA_R_32F: to = Type::F32; return true;
    case CUDA_R_16F: to = Type::F16; return true;
    case CUDA_R_16BF: to = Type::BF16; return true;
    default: return false;
    }
}

// The arguments of a call as they came, in the widest form.
struct Call {
    cublasHandle_t      handle;
    cublasOperation_t   ta, tb;
    int                 m, n, k;
    const void *        alpha;
    const void *        A;
    cudaDataType       at;
    int                 lda;
    long long           sa;
    const void *        B;
    cudaDataType       bt;
    int                 ldb;
    long long           sb;
    const void *        beta;
    void *              C;
    cudaDataType       ct;
    int                 ldc;
    long long           sc;
    int                 batch;
    bool                array;
    cublasComputeType_t compute;
};

// The types that have kernels: those of ggml-cuda and of the trainer.
cublasStatus_t read_types(const Call & c, Gemm & g) {
    Type b;
    if (!type_of(c.at, g.in) || !type_of(c.bt, b) || !type_of(c.ct, g.out) || b != g.in) return CUBLAS_STATUS_NOT_SUPPORTED;
    bool ok = g.out == Type::F32 || (g.in == Type::F16 && g.out == Type::F16);
    g.tf32  = c.handle->tf32;
    switch (c.compute) {
    case CUBLAS_COMPUTE_16F: ok = g.in == Type::F16 && g.out == Type::F16; break;
    case CUBLAS_COMPUTE_32F: break;
    case CUBLAS_COMPUTE_32F_FAST_16F:
    case CUBLAS_COMPUTE_32F_FAST_16BF:
    case CUBLAS_COMPUTE_32F_FAST_TF32: // all three allow fewer bits than float has; TF32 keeps the most
        ok     = g.in == Type::F32;
        g.tf32 = true;
        break;
    default: ok = false;
    }
    return ok ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
}

// Launches g in parts that the grid's third dimension can count.
cublasStatus_t run_batch(cublasContext & h, Gemm g) {
    constexpr int most = 32768;
    for (int left = g.batch; left > 0; left -= most) {
        g.batch = std::min(left, most);
        cublasStatus_t s = run(h, plan(h.device, g));
        if (s != CUBLAS_STATUS_SUCCESS) return s;
        // Array mode moves along the arrays of pointers.
        g.A = static_cast<const char *>(g.A) + most * (g.array ? sizeof(void *) : g.sa * size_of(g.in));
        g.B = static_cast<const char *>(g.B) + most * (g.array ? sizeof(void *) : g.sb * size_of(g.in));
        g.C = static_cast<char *>(g.C) + most * (g.array ? sizeof(void *) : g.sc * size_of(g.out));
    }
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t gemm(const Call & c) {
    if (!c.handle) return CUBLAS_STATUS_NOT_INITIALIZED;
    if (!known(c.ta) || !known(c.tb) || c.m < 0 || c.n < 0 || c.k < 0 || c.batch < 0) return CUBLAS_STATUS_INVALID_VALUE;
    Gemm g{};
    g.ta = c.ta != CUBLAS_OP_N, g.tb = c.tb != CUBLAS_OP_N; // C is T on real numbers
    g.m = c.m, g.n = c.n, g.k = c.k;
    g.lda = c.lda, g.ldb = c.ldb, g.ldc = c.ldc;
    if (g.lda < std::max(1, g.ta ? g.k : g.m) || g.ldb < std::max(1, g.tb ? g.n : g.k) || g.ldc < std::max(1, g.m)) return CUBLAS_STATUS_INVALID_VALUE;
    if (!c.alpha || !c.beta) return CUBLAS_STATUS_INVALID_VALUE;
    cublasStatus_t s = read_types(c, g);
    if (s != CUBLAS_STATUS_SUCCESS) return s;
    if (c.compute == CUBLAS_COMPUTE_16F) {
        g.alpha = to_float(*static_cast<const Half *>(c.alpha)), g.beta = to_float(*static_cast<const Half *>(c.beta));
    } else {
        g.alpha = *static_cast<const float *>(c.alpha), g.beta = *static_cast<const float *>(c.beta);
    }
    if (g.m == 0 || g.n == 0 || c.batch == 0) return CUBLAS_STATUS_SUCCESS;
    bool product = g.k > 0 && g.alpha != 0;
    if (!product && g.beta == 1) return CUBLAS_STATUS_SUCCESS;
    if (!c.C || (product && (!c.A || !c.B))) return CUBLAS_STATUS_INVALID_VALUE;
    g.A = c.A, g.B = c.B, g.C = c.C;
    g.sa = c.sa, g.sb = c.sb, g.sc = c.sc;
    g.batch = c.batch, g.array = c.array;
    if (!product && (!g.A || !g.B)) { // the kernel does not read them, but adds offsets and looks into arrays
        g.A = g.B = g.C;
        g.sa = g.sb = g.sc;
    }
    return run_batch(*c.handle, g);
}

} // namespace

extern "C" {

cublasStatus_t cublasCreate(cublasHandle_t * handle) {
    if (!handle) return CUBLAS_STATUS_INVALID_VALUE;
    *handle = nullptr;
    auto * c = new (std::nothrow) cublasContext;
    if (!c) return CUBLAS_STATUS_ALLOC_FAILED;
    cublasStatus_t s = open(*c);
    if (s != CUBLAS_STATUS_SUCCESS) {
        close(*c);
        delete c;
        return s;
    }
    c->workspace = c->own, c->device.workspace = c->own_bytes;
    *handle = c;
    return s;
}

cublasStatus_t cublasDestroy(cublasHandle_t handle) {
    if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
    close(*handle);
    delete handle;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetStream(cublasHandle_t handle, cudaStream_t stream) {
    if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
    handle->stream    = stream;
    handle->workspace = handle->own; // as in cuBLAS, the caller's workspace belongs to the stream before
    handle->device.workspace = handle->own_bytes;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetWorkspace(cublasHandle_t handle, void * workspace, size_t bytes) {
    if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
    if (workspace && reinterpret_cast<uintptr_t>(workspace) % 256 != 0) return CUBLAS_STATUS_INVALID_VALUE;
    handle->workspace        = workspace;
    handle->device.workspace = workspace ? bytes : 0;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode) {
    if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
    // Bit 4 forbids sums of fewer bits than the compute type has; ours never have fewer than float.
    int plain = mode & ~16;
    if (plain < CUBLAS_DEFAULT_MATH || plain > CUBLAS_TF32_TENSOR_OP_MATH) return CUBLAS_STATUS_INVALID_VALUE;
    handle->tf32 = plain == CUBLAS_TF32_TENSOR_OP_MATH;
    return CUBLAS_STATUS_SUCCESS;
}

const char * cublasGetStatusString(cublasStatus_t status) {
    switch (status) {
    case CUBLAS_STATUS_SUCCESS: return "success";
    case CUBLAS_STATUS_NOT_INITIALIZED: return "the library was not initialized";
    case CUBLAS_STATUS_ALLOC_FAILED: return "the resource allocation failed";
    case CUBLAS_STATUS_INVALID_VALUE: return "an invalid value was passed";
    case CUBLAS_STATUS_ARCH_MISMATCH: return "no kernel for this card's architecture";
    case CUBLAS_STATUS_MAPPING_ERROR: return "access to the card's memory failed";
    case CUBLAS_STATUS_EXECUTION_FAILED: return "the kernel failed to launch";
    case CUBLAS_STATUS_INTERNAL_ERROR: return "an internal operation failed";
    case CUBLAS_STATUS_NOT_SUPPORTED: return "the types or the computation are not supported";
    case CUBLAS_STATUS_LICENSE_ERROR: return "the license was refused";
    }
    return "unknown status";
}

cublasStatus_t cublasSgemm(cublasHandle_t h, cublasOperation_t ta, cublasOperation_t tb, int m, int n, int k,
    const float * alpha, const float * A, int lda, const float * B, int ldb, const float * beta, float * C, int ldc) {
    return gemm({h, ta, tb, m, n, k, alpha, A, CUDA_R_32F, lda, 0, B, CUDA_R_32F, ldb, 0, beta, C, CUDA_R_32F, ldc, 0, 1, false, CUBLAS_COMPUTE_32F});
}

cublasStatus_t cublasSgemmBatched(cublasHandle_t h, cublasOperation_t ta, cublasOperation_t tb, int m, int n, int k,
    const float * alpha, const float * const A[], int lda, const float * const B[], int ldb, const float * beta, float * const C[], int ldc, int batch) {
    return gemm({h, ta, tb, m, n, k, alpha, A, CUDA_R_32F, lda, 0, B, CUDA_R_32F, ldb, 0, beta, const_cast<float **>(C), CUDA_R_32F, ldc, 0, batch, true, CUBLAS_COMPUTE_32F});
}

cublasStatus_t cublasSgemmStridedBatched(cublasHandle_t h, cublasOperation_t ta, cublasOperation_t tb, int m, int n, int k,
    const float * alpha, const float * A, int lda, long long sa, const float * B, int ldb, long long sb,
    const float * beta, float * C, int ldc, long long sc, int batch) {
    return gemm({h, ta, tb, m, n, k, alpha, A, CUDA_R_32F, lda, sa, B, CUDA_R_32F, ldb, sb, beta, C, CUDA_R_32F, ldc, sc, batch, false, CUBLAS_COMPUTE_32F});
}

cublasStatus_t cublasGemmEx(cublasHandle_t h, cublasOperation_t ta, cublasOperation_t tb, int m, int n, int k,
    const void * alpha, const void * A, cudaDataType at, int lda, const void * B, cudaDataType bt, int ldb,
    const void * beta, void * C, cudaDataType ct, int ldc, cublasComputeType_t compute, cublasGemmAlgo_t) {
    return gemm({h, ta, tb, m, n, k, alpha, A, at, lda, 0, B, bt, ldb, 0, beta, C, ct, ldc, 0, 1, false, compute});
}

cublasStatus_t cublasGemmBatchedEx(cublasHandle_t h, cublasOperation_t ta, cublasOperation_t tb, int m, int n, int k,
    const void * alpha, const void * const A[], cudaDataType at, int lda, const void * const B[], cudaDataType bt, int ldb,
    const void * beta, void * const C[], cudaDataType ct, int ldc, int batch, cublasComputeType_t compute, cublasGemmAlgo_t) {
    return gemm({h, ta, tb, m, n, k, alpha, A, at, lda, 0, B, bt, ldb, 0, beta, const_cast<void **>(C), ct, ldc, 0, batch, true, compute});
}

cublasStatus_t cublasGemmStridedBatchedEx(cublasHandle_t h, cublasOperation_t ta, cublasOperation_t tb, int m, int n, int k,
    const void * alpha, const void * A, cudaDataType at, int lda, long long sa, const void * B, cudaDataType bt, int ldb, long long sb,
    const void * beta, void * C, cudaDataType ct, int ldc, long long sc, int batch, cublasComputeType_t compute, cublasGemmAlgo_t) {
    return gemm({h, ta, tb, m, n, k, alpha, A, at, lda, sa, B, bt, ldb, sb, beta, C, ct, ldc, sc, batch, false, compute});
}

cublasStatus_t cublasStrsmBatched(cublasHandle_t h, cublasSideMode_t side, cublasFillMode_t uplo, cublasOperation_t op, cublasDiagType_t diag,
    int m, int n, const float * alpha, const float * const A[], int lda, float * const B[], int ldb, int batch) {
    if (!h) return CUBLAS_STATUS_NOT_INITIALIZED;
    bool left = side == CUBLAS_SIDE_LEFT;
    if ((!left && side != CUBLAS_SIDE_RIGHT) || (uplo != CUBLAS_FILL_MODE_LOWER && uplo != CUBLAS_FILL_MODE_UPPER) || !known(op) ||
        (diag != CUBLAS_DIAG_UNIT && diag != CUBLAS_DIAG_NON_UNIT) || m < 0 || n < 0 || batch < 0 ||
        lda < std::max(1, left ? m : n) || ldb < std::max(1, m) || !alpha) {
        return CUBLAS_STATUS_INVALID_VALUE;
    }
    if (m == 0 || n == 0 || batch == 0) return CUBLAS_STATUS_SUCCESS;
    if (!A || !B) return CUBLAS_STATUS_INVALID_VALUE;
    return run(*h, Trsm{left, uplo == CUBLAS_FILL_MODE_UPPER, op != CUBLAS_OP_N, diag == CUBLAS_DIAG_UNIT, m, n, *alpha, A, B, lda, ldb, batch});
}

} // extern "C"
