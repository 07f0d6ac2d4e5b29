#include "attention.cuh"

int attention_tensor(cd_card * c, const attn_args & a, int kv_heads, int padded, bool back, char * scratch) {
    return attention_float(c, a, kv_heads, padded, back);
}
