// The tables of the levels with vector instructions.
#ifndef CLOISTER_LEVELS_H
#define CLOISTER_LEVELS_H

#include "avx2.h"

#ifdef CK_X86
#define CK_AVX512 __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi")))
#define CK_BF16   __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,avx512bf16")))

extern const ck_tiles  ck_avx512_tiles;
extern const ck_panels ck_avx512_panels;
// Operands rounded to BF16: vdpbf16ps, and tiles (AMX) over the same panels.
extern const ck_panels ck_bf16_panels;
extern const ck_panels ck_amx_panels;

// ck_to_bf16_fn turns n values, whole blocks, into BF16, rounded to nearest even.
typedef void (*ck_to_bf16_fn)(const void * x, uint16_t * y, int64_t n);
// ck_to_bf16 is a conversion that is faster than the one by way of float, or NULL.
ck_to_bf16_fn ck_to_bf16(int type);
#endif

#endif
