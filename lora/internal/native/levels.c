// The levels: which kernels each has, and which of them this CPU runs.
#include "levels.h"

#include <sys/syscall.h>
#include <unistd.h>

#define ROWS(level)                                                                                                           \
    .rmsnorm_row = ck_##level##_rmsnorm_row, .rmsnorm_back_row = ck_##level##_rmsnorm_back_row,                                \
    .rope_row = ck_##level##_rope_row, .glu = ck_##level##_glu, .glu_back = ck_##level##_glu_back,                             \
    .cross_entropy_row = ck_##level##_cross_entropy_row, .add_row = ck_##level##_add_row,                              \
    .top_k_row = ck_##level##_top_k_row, .distill_row = ck_##level##_distill_row,                                              \
    .adamw = ck_##level##_adamw, .sum_squares = ck_##level##_sum_squares

static const ck_ops levels[CK_LEVELS] = {
    [CK_LEVEL_NAIVE] = {NULL, ROWS(naive)},
#ifdef CK_X86
    [CK_LEVEL_AVX2]        = {&ck_avx2_panels, ROWS(avx2)},
    [CK_LEVEL_AVX512]      = {&ck_avx512_panels, ROWS(avx512)},
    [CK_LEVEL_AVX512_BF16] = {&ck_bf16_panels, ROWS(avx512)},
    [CK_LEVEL_AMX]         = {&ck_amx_panels, ROWS(avx512)},
    [CK_LEVEL_AMX_BF16X3]  = {&ck_amx_x3_panels, ROWS(avx512)},
#endif
};

const ck_ops * ck_level_ops(int * level) {
    if (*level == CK_LEVEL_BEST || *level == CK_LEVEL_FLOAT) {
        int l = *level == CK_LEVEL_FLOAT ? CK_LEVEL_AVX512 : CK_LEVEL_AMX;
        while (!ck_level_supported(l)) {
            l--;
        }
        *level = l;
    }
    return *level >= 0 && *level < CK_LEVELS ? &levels[*level] : NULL;
}

#ifdef CK_X86
// __builtin_cpu_supports also asks whether the system saves the wide registers.
static bool avx512(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vbmi");
}

// amx asks Linux once for leave to use the tiles, which covers all threads of the process (Documentation/arch/x86/xstate.rst).
static bool amx(void) {
#if defined(__linux__)
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    return __builtin_cpu_supports("amx-tile") && __builtin_cpu_supports("amx-bf16") &&
           syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
#else
    return false;
#endif
}
#endif

bool ck_level_supported(int level) {
    switch (level) {
    case CK_LEVEL_NAIVE:
        return true;
#ifdef CK_X86
    case CK_LEVEL_AVX2:
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
    case CK_LEVEL_AVX512:
        return ck_level_supported(CK_LEVEL_AVX2) && avx512();
    case CK_LEVEL_AVX512_BF16:
        return ck_level_supported(CK_LEVEL_AVX512) && __builtin_cpu_supports("avx512bf16");
    case CK_LEVEL_AMX:
    case CK_LEVEL_AMX_BF16X3:
        return ck_level_supported(CK_LEVEL_AVX512_BF16) && amx();
#endif
    }
    return false;
}
