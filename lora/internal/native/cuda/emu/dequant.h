// In place of cuda/dequant.cu, whose kernels are ggml's and need a card: ggml's
// converters for the CPU.
#ifndef CLOISTER_EMU_DEQUANT_H
#define CLOISTER_EMU_DEQUANT_H

#include <ggml.h>

#include "../dequant.cuh"

bool can_dequantise(int type) {
    return type >= 0 && type < GGML_TYPE_COUNT && (type == GGML_TYPE_F32 || ggml_get_type_traits((ggml_type) type)->to_float != nullptr);
}

void dequantise(cd_card * c, void * out, bool to_bf16, const char * src, int type, int64_t row_bytes, int64_t rows, int64_t cols, int64_t ld,
                void *) {
    emu::guard g(emu::S().lock);
    emu::give(c->stream, [=] {
        std::vector<float> row((size_t) cols);
        const char *       from = emu::device_pointer(src);
        char *             to   = emu::device_pointer((char *) out);
        for (int64_t i = 0; i < rows; i++) {
            ggml_get_type_traits((ggml_type) type)->to_float(from + i * row_bytes, row.data(), cols);
            for (int64_t j = 0; j < cols; j++) {
                if (to_bf16) {
                    ((bf16 *) to)[i * ld + j] = __float2bfloat16(row[(size_t) j]);
                } else {
                    ((float *) to)[i * ld + j] = row[(size_t) j];
                }
            }
        }
    });
}

#endif
