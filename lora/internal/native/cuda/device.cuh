// The few instructions that C++ has no name for, and launches, under nvcc;
// emu/emu.h has the same for the emulation.
#ifndef CLOISTER_CUDA_DEVICE_CUH
#define CLOISTER_CUDA_DEVICE_CUH

#include <cublas_v2.h>
#include <cuda_bf16.h>
#include <cuda_runtime.h>

// SHARED names the dynamic shared memory of a block; there is no other kind here.
#define SHARED(T, name)                                         \
    extern __shared__ __align__(16) unsigned char cd_shared_[]; \
    T * name = reinterpret_cast<T *>(cd_shared_)

#define LAUNCH(c, what, kernel, grid, block, bytes, ...)               \
    do {                                                               \
        kernel<<<grid, block, bytes, (c)->stream>>>(__VA_ARGS__);      \
        (c)->launched(what);                                           \
    } while (0)

// mma_bf16 is d [16,8] += a [16,16]·b [16,8] by a warp, operands BF16 and sums float. Cards before compute capability 8.0 have no
// such instruction; the host never launches kernels that use it there.
__device__ static __forceinline__ void mma_bf16(float d[4], const uint32_t a[4], const uint32_t b[2]) {
#if __CUDA_ARCH__ >= 800
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    __trap();
#endif
}

// load_matrix is ldmatrix.x4, with trans ldmatrix.x4.trans: four 8x8 matrices of 16-bit values.
template <bool TRANS> __device__ static __forceinline__ void load_matrix(uint32_t out[4], const void * row) {
    uint32_t at = (uint32_t) __cvta_generic_to_shared(row);
    if (TRANS) {
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                     : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
                     : "r"(at)
                     : "memory");
    } else {
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                     : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
                     : "r"(at)
                     : "memory");
    }
}

__device__ static __forceinline__ uint32_t pack_bf16(float low, float high) {
    __nv_bfloat162 two = __floats2bfloat162_rn(low, high);
    uint32_t       out;
    memcpy(&out, &two, sizeof out);
    return out;
}

__device__ static __forceinline__ float fast_exp2(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// copy_async copies 16 bytes into shared memory without a register where the card can.
__device__ static __forceinline__ void copy_async(void * to, const void * from) {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"((uint32_t) __cvta_generic_to_shared(to)), "l"(from) : "memory");
#else
    *static_cast<uint4 *>(to) = *static_cast<const uint4 *>(from);
#endif
}

__device__ static __forceinline__ void copy_commit() {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

template <int N> __device__ static __forceinline__ void copy_wait() {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
#endif
}

// product is C = alpha·op(A)·op(B) + beta·C in column-major order (cuBLAS), A and B BF16 or float, C float, sums in float.
static inline const char * product(cublasHandle_t blas, cudaStream_t stream, bool ta, bool tb, int m, int n, int k, float alpha, const void * a,
                                   int lda, const void * b, int ldb, bool bf16, float beta, float * c, int ldc) {
    (void) stream; // the handle has it
    cublasOperation_t oa = ta ? CUBLAS_OP_T : CUBLAS_OP_N, ob = tb ? CUBLAS_OP_T : CUBLAS_OP_N;
    cublasStatus_t    s  = bf16 ? cublasGemmEx(blas, oa, ob, m, n, k, &alpha, a, CUDA_R_16BF, lda, b, CUDA_R_16BF, ldb, &beta, c, CUDA_R_32F, ldc,
                                               CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT)
                                : cublasSgemm(blas, oa, ob, m, n, k, &alpha, (const float *) a, lda, (const float *) b, ldb, &beta, c, ldc);
    return s == CUBLAS_STATUS_SUCCESS ? nullptr : cublasGetStatusString(s);
}

#endif
