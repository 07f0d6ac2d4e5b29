// The kernels for tensor cores by mma.sync, made of CUTLASS 2's parts.
#pragma once

#include "launch.cuh"

#include "cutlass/epilogue/thread/linear_combination.h"
#include "cutlass/gemm/kernel/default_gemm_universal.h"
#include "cutlass/gemm/threadblock/threadblock_swizzle.h"

namespace cloister_blas {

namespace gemm = cutlass::gemm;

// One kernel of the table without its layouts: element types, tile of a block, tile of a warp, stages, alignments.
template <class In_, class Out_, class Arch_, class Tile_, class Warp_, class Step_, int Stages_, int AlignIn_, int AlignOut_> struct Config {
    using In = In_; using Out = Out_; using Arch = Arch_; using Tile = Tile_; using Warp = Warp_; using Step = Step_;
    static constexpr int Stages = Stages_, AlignIn = AlignIn_, AlignOut = AlignOut_;
};

template <class C, bool ARows, bool BRows> struct Kernel2x {
    using LA   = std::conditional_t<ARows, cutlass::layout::RowMajor, cutlass::layout::ColumnMajor>;
    using LB   = std::conditional_t<BRows, cutlass::layout::RowMajor, cutlass::layout::ColumnMajor>;
    using Type = typename gemm::kernel::DefaultGemmUniversal<
        typename C::In, LA, cutlass::ComplexTransform::kNone, C::AlignIn,
        typename C::In, LB, cutlass::ComplexTransform::kNone, C::AlignIn,
        typename C::Out, cutlass::layout::RowMajor, float, cutlass::arch::OpClassTensorOp, typename C::Arch,
        typename C::Tile, typename C::Warp, typename C::Step,
        cutlass::epilogue::thread::LinearCombination<typename C::Out, C::AlignOut, float, float>,
        gemm::threadblock::GemmIdentityThreadblockSwizzle<8>, C::Stages, cutlass::arch::OpMultiplyAdd>::GemmKernel;
};

// The kernel is empty where the architecture lacks its instructions; plan never chooses it there.
template <class K, int MinArch> __global__ void __launch_bounds__(K::kThreadCount) tensor(const __grid_constant__ typename K::Params params) {
#if defined(__CUDA_ARCH__)
    if constexpr (__CUDA_ARCH__ >= MinArch) {
        extern __shared__ __align__(16) unsigned char shared[];
        K::invoke(params, *reinterpret_cast<typename K::SharedStorage *>(shared));
    } else {
        __trap();
    }
#endif
}

// More than 48 KiB of shared memory must be asked for, once for each card.
template <class F> cublasStatus_t allow_shared(F * kernel, int bytes, uint64_t & done) {
    int card;
    if (cudaGetDevice(&card) != cudaSuccess) return CUBLAS_STATUS_NOT_INITIALIZED;
    uint64_t bit = uint64_t(1) << (card & 63);
    if (__atomic_load_n(&done, __ATOMIC_RELAXED) & bit && card < 64) return CUBLAS_STATUS_SUCCESS;
    if (cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes) != cudaSuccess) {
        cudaGetLastError();
        return CUBLAS_STATUS_ARCH_MISMATCH;
    }
    __atomic_fetch_or(&done, bit, __ATOMIC_RELAXED);
    return CUBLAS_STATUS_SUCCESS;
}

template <class C, bool ARows, bool BRows> cublasStatus_t launch_2x(const cublasContext & c, const Launch & l) {
    using K                 = typename Kernel2x<C, ARows, BRows>::Type;
    constexpr int min_arch  = C::Arch::kMinComputeCapability * 10;
    constexpr int bytes     = sizeof(typename K::SharedStorage);
    auto *          kernel  = tensor<K, min_arch>;
    static uint64_t allowed = 0;
    cublasStatus_t  s       = allow_shared(kernel, bytes, allowed);
    if (s != CUBLAS_STATUS_SUCCESS) return s;

    auto mode = l.array ? gemm::GemmUniversalMode::kArray : l.batch > 1 ? gemm::GemmUniversalMode::kBatched : gemm::GemmUniversalMode::kGemm;
    typename K::Arguments args(mode, {l.M, l.N, l.K}, l.batch > 1 || l.array ? l.batch : l.splits, {l.alpha, l.beta},
        l.A, l.B, l.D, l.D, l.sa, l.sb, l.sd, l.sd, int64_t(l.lda), int64_t(l.ldb), int64_t(l.ldd), int64_t(l.ldd));
    typename K::Params params(args, c.device.sms, 1);
    if (mode == gemm::GemmUniversalMode::kGemm && params.get_workspace_size() > 0) {
        if (params.get_workspace_size() > c.device.workspace) return CUBLAS_STATUS_INTERNAL_ERROR;
        if (params.init_workspace(c.workspace, c.stream) != cutlass::Status::kSuccess) return CUBLAS_STATUS_EXECUTION_FAILED;
    }
    kernel<<<params.get_grid_dims(), K::kThreadCount, bytes, c.stream>>>(params);
    return launched();
}

template <class C> cublasStatus_t launch_layout(const cublasContext & c, const Launch & l) {
    switch (l.layout) {
    case ROW_ROW: return launch_2x<C, true, true>(c, l);
    case ROW_COL: return launch_2x<C, true, false>(c, l);
    case COL_ROW: return launch_2x<C, false, true>(c, l);
    case COL_COL: return launch_2x<C, false, false>(c, l);
    }
    return CUBLAS_STATUS_INTERNAL_ERROR;
}

using BF = cutlass::bfloat16_t;
using HF = cutlass::half_t;
using cutlass::arch::Sm75;
using cutlass::arch::Sm80;
template <int M, int N, int K> using Shape = gemm::GemmShape<M, N, K>;

} // namespace cloister_blas
