// Quantised rows to BF16 or float.
#ifndef CLOISTER_CUDA_DEQUANT_CUH
#define CLOISTER_CUDA_DEQUANT_CUH

#include "card.cuh"

static const int64_t TAIL_BYTES = 4096;

// can_dequantise says whether there is a converter for a ggml type.
bool can_dequantise(int type);

// dequantise writes rows of cols values, which lie row_bytes apart in src, to out, ld values apart: BF16 or float. src and out
// are device memory, and tail is TAIL_BYTES of it. Rows of quantised types have no gaps on either side.
void dequantise(cd_card * c, void * out, bool to_bf16, const char * src, int type, int64_t row_bytes, int64_t rows, int64_t cols, int64_t ld,
                void * tail);

#endif
