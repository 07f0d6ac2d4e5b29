// Attention: heads in groups whose copies fit into scratch.
#include "attention.cuh"

static attn_args arguments(cd_card * c, const cd_attn * a, const int32_t * start, cd_mat o, cd_mat lse) {
    attn_args x = {};
    x.q         = floats(a->q);
    x.k         = floats(a->k);
    x.v         = floats(a->v);
    x.o         = floats(o);
    x.lse       = floats(lse);
    x.start     = (const int32_t *) c->upload(start, 4 * (size_t) a->q.rows);
    x.ldq       = a->q.ld;
    x.ldk       = a->k.ld;
    x.ldv       = a->v.ld;
    x.ldo       = o.ld;
    x.t         = (int) a->q.rows;
    x.prefix    = a->prefix;
    x.heads     = a->heads;
    x.group     = a->heads / a->kv_heads;
    x.dim       = a->dim;
    x.scale     = a->scale;
    return x;
}

// in_groups runs f for kv heads [kv0, kv0 + n).
template <class F> static int in_groups(cd_card * c, const cd_attn * a, attn_args x, F f) {
    for (int kv = 0; kv < a->kv_heads && c->failed == CK_OK; kv += a->at_once) {
        int n   = a->at_once < a->kv_heads - kv ? a->at_once : a->kv_heads - kv;
        x.kv0   = kv;
        x.head0 = kv * x.group;
        int code = f(x, n);
        if (code != CK_OK) {
            return code;
        }
    }
    return c->failed;
}

int cd_attention(cd_card * c, const cd_attn * a, const int32_t * start, cd_mat o, cd_mat lse) {
    ENTER(c);
    ROOM(c, 4 * a->q.rows);
    return in_groups(c, a, arguments(c, a, start, o, lse), [&](const attn_args & x, int n) {
        return c->precise || !c->tensor ? attention_float(c, x, n, a->padded, false) : attention_tensor(c, x, n, a->padded, false, c->scratch);
    });
}

int cd_attention_back(cd_card * c, const cd_attn * a, const int32_t * start, cd_mat o, cd_mat lse, cd_mat d_o, cd_mat dq, cd_mat dk, cd_mat dv) {
    ENTER(c);
    ROOM(c, 4 * a->q.rows);
    attn_args args = arguments(c, a, start, o, lse);
    args.d_o       = floats(d_o);
    args.lddo      = d_o.ld;
    args.dq        = floats(dq);
    args.dk        = floats(dk);
    args.dv        = floats(dv);
    return in_groups(c, a, args, [&](attn_args x, int n) {
        size_t delta = ((size_t) n * (size_t) x.group * (size_t) x.t * 4 + 255) / 256 * 256;
        x.delta      = (float *) c->scratch;
        return c->precise || !c->tensor ? attention_float(c, x, n, a->padded, true)
                                        : attention_tensor(c, x, n, a->padded, true, c->scratch + delta);
    });
}
