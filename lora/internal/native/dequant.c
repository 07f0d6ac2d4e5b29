// Frozen weights to float, through the type traits of ggml: any type that ggml
// can dequantise can be trained on.
#include "ggml.h"
#include "kernels.h"

#include <string.h>

static const struct ggml_type_traits * traits(int type) {
    if (type < 0 || type >= GGML_TYPE_COUNT) {
        return NULL;
    }
    const struct ggml_type_traits * t = ggml_get_type_traits((enum ggml_type) type);
    return t->blck_size > 0 && (type == GGML_TYPE_F32 || t->to_float != NULL) ? t : NULL;
}

bool ck_type_ok(int type, int64_t cols) {
    const struct ggml_type_traits * t = traits(type);
    return t != NULL && cols > 0 && cols % t->blck_size == 0;
}

int ck_block_size(int type) { return (int) traits(type)->blck_size; }

size_t ck_block_bytes(int type) { return traits(type)->type_size; }

const float * ck_dequant(ck_to_float_fn to_float, int type, const void * row, int64_t cols, int64_t j0, int64_t n, float * tmp) {
    if (type == GGML_TYPE_F32) {
        return (const float *) row + j0;
    }
    const struct ggml_type_traits * t   = ggml_get_type_traits((enum ggml_type) type);
    int64_t                         blk = t->blck_size;
    int64_t                         b0  = j0 / blk;
    int64_t                         b1  = (j0 + n + blk - 1) / blk;
    if (b1 * blk > cols) {
        b1 = cols / blk;
    }
    (to_float != NULL ? to_float : t->to_float)((const char *) row + (size_t) b0 * t->type_size, tmp, (b1 - b0) * blk);
    return tmp + (j0 - b0 * blk);
}

typedef struct {
    float *         out;
    int64_t         ld;
    const char *    table;
    size_t          row_bytes;
    int             type, n;
    const int32_t * ids;
    int             t;
} embed_job;

enum { EMBED_ROWS = 16 };

static void embed_chunk(void * arg, int chunk, int thread) {
    (void) thread;
    const embed_job * j = arg;
    for (int i = chunk * EMBED_ROWS; i < ck_min(j->t, (chunk + 1) * EMBED_ROWS); i++) {
        float *       dst = j->out + i * j->ld;
        const float * src = ck_dequant(NULL, j->type, j->table + (size_t) j->ids[i] * j->row_bytes, j->n, 0, j->n, dst);
        if (src != dst) {
            memcpy(dst, src, (size_t) j->n * sizeof *dst);
        }
    }
}

int ck_embed(ck_pool * p, float * out, int64_t ld, const void * table, size_t row_bytes, int type, int n,
             const int32_t * ids, int t) {
    if (!ck_type_ok(type, n)) {
        return CK_TYPE;
    }
    embed_job j = {out, ld, table, row_bytes, type, n, ids, t};
    ck_run(p, embed_chunk, &j, ck_ceil_div(t, EMBED_ROWS));
    return CK_OK;
}

size_t ck_row_bytes(int type, int64_t n) {
    return ck_type_ok(type, n) ? ggml_row_size((enum ggml_type) type, n) : 0;
}

size_t ck_quantize(int type, const float * src, void * dst, int64_t rows, int64_t n) {
    return ggml_quantize_chunk((enum ggml_type) type, src, dst, 0, rows, n, NULL);
}

int ck_dequantize(int type, const void * src, float * dst, int64_t n) {
    if (!ck_type_ok(type, n)) {
        return CK_TYPE;
    }
    const float * out = ck_dequant(NULL, type, src, n, 0, n, dst);
    if (out != dst) {
        memcpy(dst, out, (size_t) n * sizeof *dst);
    }
    return CK_OK;
}
