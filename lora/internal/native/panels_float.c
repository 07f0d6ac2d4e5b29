// Panels of float for the product: what every level with float micro-kernels
// shares. A left panel is stored as out[l*mr + i], a right one as out[l*16 + j].
#include "kernels.h"

void ck_float_left(const ck_panels * p, void * out, const float * x, int64_t rs, int64_t cs, int rows, int kl) {
    float * o  = out;
    int     mr = p->mr;
    if (rows == mr && cs == 1) {
        p->tiles->pack_left(o, x, rs, kl);
        return;
    }
    if (rows == mr && rs == 1) {
        p->tiles->copy_left(o, x, cs, kl);
        return;
    }
    for (int l = 0; l < kl; l++) {
        for (int i = 0; i < mr; i++) {
            o[l * mr + i] = i < rows ? x[i * rs + l * cs] : 0;
        }
    }
}

void ck_float_right(const ck_panels * p, void * out, const ck_right * b, int64_t n, int j0, int w, int k0, int kl, void * tmp) {
    ck_to_float_fn to_float = p->tiles->to_float(b->type);
    for (int l = 0; l < kl; l++) {
        const char * row = (const char *) b->data + (size_t) (k0 + l) * b->row_bytes;
        p->tiles->copy16((float *) out + (size_t) l * CK_NR, (int64_t) kl * CK_NR, ck_dequant(to_float, b->type, row, n, j0, w, tmp), w, b->scale);
    }
}

void ck_float_right_trans(const ck_panels * p, void * out, const ck_right * b, int64_t k, int j0, int cols, int k0, int kl, void * tmp) {
    ck_to_float_fn to_float = p->tiles->to_float(b->type);
    float *        o        = out;
    const char *   row      = (const char *) b->data + (size_t) j0 * b->row_bytes;
    int64_t        ld       = kl + 2 * CK_BLOCK_MAX;
    const float *  x        = ck_dequant(to_float, b->type, row, k, k0, kl, tmp);
    if (b->type == CK_F32) { // x is the row itself
        ld = (int64_t) (b->row_bytes / sizeof(float));
    } else {
        for (int r = 1; r < cols; r++) {
            ck_dequant(to_float, b->type, row + (size_t) r * b->row_bytes, k, k0, kl, (float *) tmp + r * ld);
        }
    }
    if (cols == CK_NR) {
        p->tiles->transpose16(o, x, ld, kl, b->scale);
        return;
    }
    for (int l = 0; l < kl; l++) {
        for (int r = 0; r < CK_NR; r++) {
            o[l * CK_NR + r] = r < cols ? b->scale * x[r * ld + l] : 0;
        }
    }
}

void ck_float_multiply(const ck_panels * p, float * c, int64_t ldc, const void * a, const void * b, int rows, int cols, int kl, bool add) {
    _Alignas(64) float edge[CK_MR_MAX * CK_NR];
    int mr = p->mr;
    for (int j = 0; j < cols; j += CK_NR) {
        const float * right = (const float *) b + (size_t) j * (size_t) kl;
        for (int i = 0; i < rows; i += mr) {
            const float * left = (const float *) a + (size_t) i * (size_t) kl;
            int           r    = ck_min(mr, rows - i);
            if (cols - j >= CK_NR) {
                p->tiles->tile[r](kl, left, 1, mr, right, CK_NR, c + i * ldc + j, ldc, add);
            } else {
                p->tiles->tile[r](kl, left, 1, mr, right, CK_NR, edge, CK_NR, false);
                ck_add_edge(c + i * ldc + j, ldc, edge, CK_NR, r, cols - j, add);
            }
        }
    }
}
