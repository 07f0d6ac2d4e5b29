// The kernels for Hopper's wgmma, made of CUTLASS 3's parts: copies by TMA, one block stays on its multiprocessor
// and walks over tiles.
#pragma once

#include "launch.cuh"

#include "cutlass/epilogue/collective/collective_builder.hpp"
#include "cutlass/gemm/collective/collective_builder.hpp"
#include "cutlass/gemm/device/gemm_universal_adapter.h"
#include "cutlass/gemm/kernel/gemm_universal.hpp"

namespace cloister_blas {

template <class In_, class Out_, int TileN_> struct HopperConfig {
    using In = In_; using Out = Out_;
    using Tile    = cute::Shape<cute::_128, cute::Int<TileN_>, cute::_64>;
    using Cluster = cute::Shape<cute::_2, cute::_1, cute::_1>; // two blocks share their tiles of B
};

template <class C, bool ARows, bool BRows> struct Kernel3x {
    using Row = cutlass::layout::RowMajor;
    using Col = cutlass::layout::ColumnMajor;
    using LA  = std::conditional_t<ARows, Row, Col>;
    using LB  = std::conditional_t<BRows, Row, Col>;
    using Op  = cutlass::arch::OpClassTensorOp;
    static constexpr int align_in = 16 / sizeof(typename C::In), align_out = 16 / sizeof(typename C::Out);
    using Epilogue = typename cutlass::epilogue::collective::CollectiveBuilder<cutlass::arch::Sm90, Op, typename C::Tile, typename C::Cluster,
        cutlass::epilogue::collective::EpilogueTileAuto, float, float, typename C::Out, Row, align_out, typename C::Out, Row, align_out,
        cutlass::epilogue::TmaWarpSpecializedCooperative>::CollectiveOp;
    using Mainloop = typename cutlass::gemm::collective::CollectiveBuilder<cutlass::arch::Sm90, Op, typename C::In, LA, align_in, typename C::In, LB, align_in,
        float, typename C::Tile, typename C::Cluster,
        cutlass::gemm::collective::StageCountAutoCarveout<static_cast<int>(sizeof(typename Epilogue::SharedStorage))>,
        cutlass::gemm::KernelTmaWarpSpecializedCooperative>::CollectiveOp;
    using Kernel = cutlass::gemm::kernel::GemmUniversal<cute::Shape<int, int, int, int>, Mainloop, Epilogue, cutlass::gemm::PersistentScheduler>;
};

// A CuTe stride of a matrix in a batch: one of the first two members is the constant 1.
template <class S> S stride(int64_t ld, int64_t matrix) {
    S s;
    if constexpr (cute::is_static<cute::tuple_element_t<0, S>>::value) cute::get<1>(s) = ld;
    else cute::get<0>(s) = ld;
    cute::get<2>(s) = matrix;
    return s;
}

template <class C, bool ARows, bool BRows> cublasStatus_t launch_3x(const cublasContext & c, const Launch & l) {
    using K      = typename Kernel3x<C, ARows, BRows>::Kernel;
    using Device = cutlass::gemm::device::GemmUniversalAdapter<K>;
    using In     = typename C::In;
    using Out    = typename C::Out;
    int64_t one  = l.batch > 1 ? 1 : 0; // a single matrix has no stride to the next
    typename Device::Arguments args{cutlass::gemm::GemmUniversalMode::kGemm, {l.M, l.N, l.K, l.batch},
        {static_cast<const In *>(l.A), stride<typename K::StrideA>(l.lda, one * l.sa), static_cast<const In *>(l.B), stride<typename K::StrideB>(l.ldb, one * l.sb)},
        {{}, static_cast<const Out *>(l.D), stride<typename K::StrideC>(l.ldd, one * l.sd), static_cast<Out *>(l.D), stride<typename K::StrideD>(l.ldd, one * l.sd)}};
    args.epilogue.thread.alpha = l.alpha;
    args.epilogue.thread.beta  = l.beta;
    args.hw_info.sm_count      = c.device.sms;
    Device device;
    if (Device::can_implement(args) != cutlass::Status::kSuccess || Device::get_workspace_size(args) > c.device.workspace) return CUBLAS_STATUS_INTERNAL_ERROR;
    if (device.initialize(args, c.workspace, c.stream) != cutlass::Status::kSuccess || device.run(c.stream) != cutlass::Status::kSuccess) {
        cudaGetLastError();
        return CUBLAS_STATUS_EXECUTION_FAILED;
    }
    return launched();
}

template <class C> cublasStatus_t launch_hopper(const cublasContext & c, const Launch & l) {
    if constexpr (hopper_built) {
        switch (l.layout) {
        case ROW_ROW: return launch_3x<C, true, true>(c, l);
        case ROW_COL: return launch_3x<C, true, false>(c, l);
        case COL_ROW: return launch_3x<C, false, true>(c, l);
        case COL_COL: return launch_3x<C, false, false>(c, l);
        }
    }
    return CUBLAS_STATUS_ARCH_MISMATCH;
}

} // namespace cloister_blas
