// The library on a card: entry points, choice, and the launch of what was chosen.
#include "launch.cuh"

#include "api.hpp"
#include "hopper.h"
#include "plan.hpp"
#include "simt.h"

namespace cloister_blas {

template <class In, class Out, int T> __global__ void __launch_bounds__(256) simt(const Launch l, int tiles_m) {
    using Thread = Simt<In, Out, T>;
    __shared__ typename Thread::Shared shared;
    Thread t(l, threadIdx.x, blockIdx.x % tiles_m, blockIdx.x / tiles_m, blockIdx.z);
    int    depth = Thread::depth(l), steps = (depth + Thread::step - 1) / Thread::step;
    if (steps > 0) {
        t.fetch(0);
        t.put(shared, 0);
        __syncthreads();
    }
    for (int s = 0; s < steps; s++) {
        if (s + 1 < steps) t.fetch((s + 1) * Thread::step);
        t.multiply(shared, s % 2);
        if (s + 1 < steps) t.put(shared, (s + 1) % 2);
        __syncthreads();
    }
    t.write();
}

template <class In, class Out, int T> static cublasStatus_t simt(const cublasContext & c, const Launch & l) {
    int64_t m = (int64_t(l.M) + T - 1) / T, n = (int64_t(l.N) + T - 1) / T;
    if (m * n > INT_MAX) return CUBLAS_STATUS_NOT_SUPPORTED; // C would hold more than 2^43 elements
    simt<In, Out, T><<<dim3(unsigned(m * n), 1, l.batch), 256, 0, c.stream>>>(l, int(m));
    return launched();
}

template <> cublasStatus_t launch<SIMT_F32_128>(const cublasContext & c, const Launch & l) { return simt<float, float, 128>(c, l); }
template <> cublasStatus_t launch<SIMT_F32_64>(const cublasContext & c, const Launch & l) { return simt<float, float, 64>(c, l); }
template <> cublasStatus_t launch<SIMT_BF16>(const cublasContext & c, const Launch & l) { return simt<BFloat, float, 64>(c, l); }
template <> cublasStatus_t launch<SIMT_F16_F32>(const cublasContext & c, const Launch & l) { return simt<Half, float, 64>(c, l); }
template <> cublasStatus_t launch<SIMT_F16_F16>(const cublasContext & c, const Launch & l) { return simt<Half, Half, 64>(c, l); }

template <int... Id> static cublasStatus_t launch_one(const cublasContext & c, const Launch & l, std::integer_sequence<int, Id...>) {
    using Function = cublasStatus_t (*)(const cublasContext &, const Launch &);
    static constexpr Function table[KERNELS] = {launch<Id>...};
    return table[l.kernel](c, l);
}

cublasStatus_t run(cublasContext & c, const Launch & l) {
    if (l.kernel >= KERNELS) return CUBLAS_STATUS_INTERNAL_ERROR;
    return launch_one(c, l, std::make_integer_sequence<int, KERNELS>());
}

static __global__ void trsm(const Trsm t) {
    int vector = blockIdx.x * blockDim.x + threadIdx.x;
    if (vector < (t.left ? t.n : t.m)) {
        for (int64_t b = blockIdx.y; b < t.batch; b += gridDim.y) solve(t, int(b), vector);
    }
}

cublasStatus_t run(cublasContext & c, const Trsm & t) {
    int vectors = t.left ? t.n : t.m;
    trsm<<<dim3((vectors - 1) / 64 + 1, std::min(t.batch, 65535)), 64, 0, c.stream>>>(t);
    return launched();
}

cublasStatus_t open(cublasContext & c) {
    int card = 0;
    if (cudaGetDevice(&card) != cudaSuccess ||
        cudaDeviceGetAttribute(&c.device.sms, cudaDevAttrMultiProcessorCount, card) != cudaSuccess) {
        cudaGetLastError(); // the caller reads our status; the next launch must not find this
        return CUBLAS_STATUS_NOT_INITIALIZED;
    }
    // What the driver took for this card out of the architectures in the file, or translated from PTX.
    cudaFuncAttributes code;
    if (cudaFuncGetAttributes(&code, trsm) != cudaSuccess) {
        cudaGetLastError();
        return CUBLAS_STATUS_ARCH_MISMATCH;
    }
    c.device.arch   = code.ptxVersion;
    c.device.hopper = hopper_code();
    c.own_bytes     = 1 << 20;
    if (cudaMalloc(&c.own, c.own_bytes) != cudaSuccess) {
        cudaGetLastError();
        return CUBLAS_STATUS_ALLOC_FAILED;
    }
    return CUBLAS_STATUS_SUCCESS;
}

void close(cublasContext & c) {
    if (c.own) cudaFree(c.own);
    c.own = nullptr;
}

} // namespace cloister_blas
