// Which kernel does a call, by an estimate of its time. The figures are derived from tile sizes and
// published rates, not measured; `test bench` on a card prints each kernel's rate beside the choice.
#pragma once

#include "gemm.h"

#include <algorithm>
#include <cmath>

namespace cloister_blas {

static constexpr Type F32 = Type::F32, F16 = Type::F16, BF16 = Type::BF16;

// A tile's rows and columns are those of the row-major product. The speed of a tensor kernel is that of
// mma.sync on its own generation; Hopper's wgmma is taken for 1.6 times that.
const Kernel kernel_table[KERNELS] = {
    // name                 family          in    out   tf32    tile         align   speed  blocks
    {"simt_f32_128",        Family::SIMT,   F32,  F32,  false, 128, 128, 16, 1, 1,   0.16,  2},
    {"simt_f32_64",         Family::SIMT,   F32,  F32,  false,  64,  64, 16, 1, 1,   0.12,  4},
    {"simt_bf16",           Family::SIMT,   BF16, F32,  false,  64,  64, 16, 1, 1,   0.05,  4},
    {"simt_f16_f32",        Family::SIMT,   F16,  F32,  false,  64,  64, 16, 1, 1,   0.05,  4},
    {"simt_f16_f16",        Family::SIMT,   F16,  F16,  false,  64,  64, 16, 1, 1,   0.05,  4},
    {"turing_f16_f32",      Family::TURING, F16,  F32,  false, 128, 128, 32, 8, 4,   1.00,  1},
    {"turing_f16_f16",      Family::TURING, F16,  F16,  false, 128, 128, 32, 8, 8,   1.00,  1},
    {"bf16_256",            Family::AMPERE, BF16, F32,  false, 128, 256, 32, 8, 4,   1.00,  1},
    {"bf16_128",            Family::AMPERE, BF16, F32,  false, 128, 128, 32, 8, 4,   0.85,  2},
    {"bf16_64",             Family::AMPERE, BF16, F32,  false,  64,  64, 32, 8, 4,   0.50,  3},
    {"bf16_odd",            Family::AMPERE, BF16, F32,  false, 128, 128, 32, 8, 1,   0.75,  2},
    {"bf16_even",           Family::AMPERE, BF16, F32,  false, 128, 128, 32, 2, 1,   0.30,  2},
    {"f16_f32_256",         Family::AMPERE, F16,  F32,  false, 128, 256, 32, 8, 4,   1.00,  1},
    {"f16_f32_128",         Family::AMPERE, F16,  F32,  false, 128, 128, 32, 8, 4,   0.85,  2},
    {"f16_f32_64",          Family::AMPERE, F16,  F32,  false,  64,  64, 32, 8, 4,   0.50,  3},
    {"f16_f32_even",        Family::AMPERE, F16,  F32,  false, 128, 128, 32, 2, 1,   0.30,  2},
    {"f16_f16_256",         Family::AMPERE, F16,  F16,  false, 128, 256, 32, 8, 8,   1.00,  1},
    {"f16_f16_128",         Family::AMPERE, F16,  F16,  false, 128, 128, 32, 8, 8,   0.85,  2},
    {"f16_f16_64",          Family::AMPERE, F16,  F16,  false,  64,  64, 32, 8, 8,   0.50,  3},
    {"tf32_128",            Family::AMPERE, F32,  F32,  true,  128, 128, 16, 4, 4,   1.00,  2},
    {"tf32_64",             Family::AMPERE, F32,  F32,  true,   64,  64, 16, 4, 4,   0.55,  3},
    {"hopper_bf16_256",     Family::HOPPER, BF16, F32,  false, 128, 256, 64, 8, 4,   1.60,  1},
    {"hopper_bf16_128",     Family::HOPPER, BF16, F32,  false, 128, 128, 64, 8, 4,   1.35,  1},
    {"hopper_f16_f32",      Family::HOPPER, F16,  F32,  false, 128, 256, 64, 8, 4,   1.60,  1},
    {"hopper_f16_f16",      Family::HOPPER, F16,  F16,  false, 128, 256, 64, 8, 8,   1.60,  1},
};

static constexpr int max_splits = 16;

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

Launch row_major(const Gemm & g) {
    Launch l{};
    l.kernel = KERNELS;
    // op(B)^T is the left operand: B by columns, k x n, is by rows n x k.
    l.layout = layout_of(!g.tb, !g.ta);
    l.M = g.n, l.N = g.m, l.K = g.k;
    l.alpha = g.alpha, l.beta = g.beta;
    l.A = g.B, l.B = g.A, l.D = g.C;
    l.lda = g.ldb, l.ldb = g.lda, l.ldd = g.ldc;
    l.sa = g.sb, l.sb = g.sa, l.sd = g.sc;
    l.batch = g.batch, l.array = g.array, l.splits = 1;
    l.in = g.in, l.out = g.out;
    return l;
}

// Whether a matrix whose rows hold `along` elements can be read in accesses of `align` elements. The pointers of
// an array lie on the card and cannot be looked at; as in cuBLAS, they must be aligned where the sizes are.
static bool aligned(const void * p, int64_t along, int64_t ld, int64_t stride, const Launch & l, Type t, int align) {
    if (along % align != 0 || ld % align != 0) return false;
    if (l.array) return true;
    return reinterpret_cast<uintptr_t>(p) % (align * size_of(t)) == 0 && (l.batch == 1 || stride % align == 0);
}

static bool card_has(const Device & d, Family f) {
    switch (f) {
    case Family::SIMT: return true;
    case Family::TURING: return d.arch < 80; // later code has the kernels too, and better ones
    case Family::AMPERE: return d.arch >= 80;
    case Family::HOPPER: return d.hopper;
    }
    return false;
}

bool fits(const Device & d, const Kernel & k, const Launch & l, bool tf32) {
    if (k.in != l.in || k.out != l.out || !card_has(d, k.family) || (k.tf32 && !tf32)) return false;
    if (k.family == Family::SIMT) return true;
    if (k.family == Family::HOPPER && l.array) return false; // its copies need the addresses at launch
    if (l.K == 0 || l.alpha == 0) return false;              // nothing to multiply: the plain kernel scales D
    bool a_rows = l.layout == ROW_ROW || l.layout == ROW_COL, b_rows = l.layout == ROW_ROW || l.layout == COL_ROW;
    return aligned(l.A, a_rows ? l.K : l.M, l.lda, l.sa, l, k.in, k.align_in) &&
           aligned(l.B, b_rows ? l.N : l.K, l.ldb, l.sb, l, k.in, k.align_in) &&
           aligned(l.D, l.N, l.ldd, l.sd, l, k.out, k.align_out);
}

// Sums can be split where D holds the sum between the parts without rounding, and matrices are single.
bool splits(const Kernel & k, const Launch & l) {
    return k.family == Family::AMPERE && k.out == Type::F32 && l.batch == 1 && !l.array;
}

double cost(const Device & d, const Kernel & k, const Launch & l, int splits) {
    int64_t rows = ceil_div(l.M, k.tm);
    if (k.family == Family::HOPPER) rows += rows % 2; // its blocks come in pairs, one below the other
    double tiles = double(rows) * ceil_div(l.N, k.tn) * l.batch * splits;
    // Time goes by the busiest multiprocessor. One block alone leaves gaps that two would fill.
    double rounds = std::ceil(tiles / d.sms);
    double alone  = k.blocks > 1 && rounds < 2 ? 1.25 : 1.0;
    double steps  = double(ceil_div(ceil_div(l.K, splits), k.tk)) * k.tk;
    double sum    = k.tm * k.tn * steps / (1024 * k.speed) * alone;
    double store  = k.tm * k.tn * size_of(k.out) * (l.beta != 0 || splits > 1 ? 2.0 : 1.0) / 12; // bytes per cycle, of the card's memory
    double start  = 800;
    // The parts of one tile store one after another.
    double wait = (splits - 1) * (store / rounds + 500);
    return rounds * (sum + store + start) + wait;
}

Launch plan(const Device & d, const Gemm & g) {
    Launch l    = row_major(g);
    double best = INFINITY;
    for (int id = 0; id < KERNELS; id++) {
        const Kernel & k = kernel_table[id];
        if (!fits(d, k, l, g.tf32)) continue;
        for (int s = 1; s <= max_splits; s++) {
            if (s > 1) {
                size_t semaphores = sizeof(int) * ceil_div(l.M, k.tm) * ceil_div(l.N, k.tn);
                if (!splits(k, l) || ceil_div(l.K, s) < 4 * k.tk || semaphores > d.workspace) break;
            }
            double c = cost(d, k, l, s);
            if (c < best) best = c, l.kernel = KernelId(id), l.splits = s;
        }
    }
    return l;
}

} // namespace cloister_blas
