// Quantised rows by ggml's own converters: its source is compiled here once
// more, under other names, so nothing of it is copied. The emulation has
// emu/dequant.h in place of this file.
#define ggml_get_to_fp16_cuda    cloister_to_fp16
#define ggml_get_to_bf16_cuda    cloister_to_bf16
#define ggml_get_to_fp32_cuda    cloister_to_fp32
#define ggml_get_to_fp16_nc_cuda cloister_to_fp16_nc
#define ggml_get_to_bf16_nc_cuda cloister_to_bf16_nc
#define ggml_get_to_fp32_nc_cuda cloister_to_fp32_nc
#define ggml_cuda_info           cloister_cuda_info
#define ggml_cuda_get_device     cloister_cuda_get_device
#include "convert.cu"

#include "dequant.cuh"
#include "elements.cuh"

// Only the choice of a converter to F16, which we never make, asks for these; so the kernels need nothing else of ggml-cuda.
const ggml_cuda_device_info & ggml_cuda_info() {
    static const ggml_cuda_device_info none = {};
    return none;
}
int ggml_cuda_get_device() { return 0; }

bool can_dequantise(int type) {
    return type == GGML_TYPE_F32 || type == GGML_TYPE_BF16 || (ggml_get_to_bf16_cuda((ggml_type) type) != nullptr && ggml_get_to_fp32_cuda((ggml_type) type) != nullptr);
}

__device__ static inline float widen(half v) { return __half2float(v); }
__device__ static inline float widen(bf16 v) { return __bfloat162float(v); }
__device__ static inline void  narrow(float * out, float v) { *out = v; }
__device__ static inline void  narrow(bf16 * out, float v) { *out = __float2bfloat16(v); }

// Rows of 16-bit values may be of any width, so they do not go through ggml's converters.
template <class TO, class FROM> struct widen_value {
    TO *         out;
    const FROM * x;
    int64_t      ldo, ldx;
    __device__ void operator()(int64_t i, int64_t j) const { narrow(&out[i * ldo + j], widen(x[i * ldx + j])); }
};

template <class TO> static void convert(cd_card * c, to_t_cuda_t<TO> f, TO * out, const char * src, int64_t block_bytes, int64_t block, int64_t n, bool whole, char * tail) {
    int64_t rest = whole ? n % QK_K : 0, full = n - rest;
    if (full > 0) {
        f(src, out, full, c->stream);
        c->launched("dequantise");
    }
    if (rest > 0) { // these converters write 256 values at a time, and read as much
        TO * part = (TO *) (tail + 2048);
        c->ok(cudaMemcpyAsync(tail, src + full / block * block_bytes, (size_t) (rest / block * block_bytes), cudaMemcpyDeviceToDevice, c->stream), "dequantise");
        f(tail, part, QK_K, c->stream);
        c->launched("dequantise");
        c->ok(cudaMemcpyAsync(out + full, part, (size_t) rest * sizeof(TO), cudaMemcpyDeviceToDevice, c->stream), "dequantise");
    }
}

template <class TO> static void dequantise_to(cd_card * c, TO * out, to_t_cuda_t<TO> f, const char * src, int type, int64_t row_bytes, int64_t rows, int64_t cols, int64_t ld, char * tail) {
    if (type == GGML_TYPE_F16) {
        run_each(c, "dequantise", widen_value<TO, half>{out, (const half *) src, ld, row_bytes / 2}, rows, cols);
    } else if (type == GGML_TYPE_BF16) {
        run_each(c, "dequantise", widen_value<TO, bf16>{out, (const bf16 *) src, ld, row_bytes / 2}, rows, cols);
    } else {
        int64_t block = type == GGML_TYPE_IQ4_NL ? QK4_NL : QK_MXFP4;
        convert<TO>(c, f, out, src, row_bytes / (cols / block), block, rows * cols, type == GGML_TYPE_IQ4_NL || type == GGML_TYPE_MXFP4, tail);
    }
}

void dequantise(cd_card * c, void * out, bool to_bf16, const char * src, int type, int64_t row_bytes, int64_t rows, int64_t cols, int64_t ld, void * tail) {
    if (to_bf16) {
        dequantise_to<bf16>(c, (bf16 *) out, ggml_get_to_bf16_cuda((ggml_type) type), src, type, row_bytes, rows, cols, ld, (char *) tail);
    } else {
        dequantise_to<float>(c, (float *) out, ggml_get_to_fp32_cuda((ggml_type) type), src, type, row_bytes, rows, cols, ld, (char *) tail);
    }
}
