// The choice of kernels, on cards that need not exist.
#pragma once

static void check_plan() {
    int before = failures;
    struct Want {
        const char * what;
        Device       card;
        int          m, n, k;
        bool         ta, tb;
        Type         in, out;
        bool         tf32;
        int          pad;
        std::vector<KernelId> kernels; // any of these
        bool         split;
    };
    const Device h100{90, true, 132, 1 << 20}, ptx{90, false, 132, 1 << 20}, a100{80, false, 108, 1 << 20}, t4{75, false, 40, 1 << 20}, bare{80, false, 108, 0};
    const Type f32 = Type::F32, f16 = Type::F16, bf16 = Type::BF16;
    const Want table[] = {
        {"a layer's product on an H100", h100, 4096, 2048, 4096, true, false, bf16, f32, false, 0, {HOPPER_BF16_256, HOPPER_BF16_128}, false},
        {"the same without code of 9.0a", ptx, 4096, 2048, 4096, true, false, bf16, f32, false, 0, {BF16_256, BF16_128}, false},
        {"the same on an A100", a100, 4096, 2048, 4096, true, false, bf16, f32, false, 0, {BF16_256, BF16_128}, false},
        {"a wide feed-forward product", a100, 14336, 2048, 4096, false, false, bf16, f32, false, 0, {BF16_256}, false},
        {"an adapter's gradient, few tiles and a long sum", a100, 4096, 16, 2048, false, true, bf16, f32, false, 0, {BF16_64, BF16_128}, true},
        {"the same without a workspace", bare, 4096, 16, 2048, false, true, bf16, f32, false, 0, {BF16_64, BF16_128}, false},
        {"a vocabulary of an odd size", a100, 32003, 512, 4096, true, false, bf16, f32, false, 0, {BF16_ODD}, false},
        {"even rows", a100, 1026, 514, 1026, true, false, bf16, f32, false, 0, {BF16_EVEN}, true},
        {"odd rows", a100, 1025, 513, 1025, true, false, bf16, f32, false, 0, {SIMT_BF16}, false},
        {"BF16 on a T4", t4, 4096, 2048, 4096, true, false, bf16, f32, false, 0, {SIMT_BF16}, false},
        {"F16 on a T4", t4, 4096, 2048, 4096, true, false, f16, f16, false, 0, {TURING_F16_F16}, false},
        {"F16 into float on a T4", t4, 4096, 2048, 4096, true, false, f16, f32, false, 0, {TURING_F16_F32}, false},
        {"float, exact", a100, 4096, 2048, 4096, true, false, f32, f32, false, 0, {SIMT_F32_128}, false},
        {"float, TF32 allowed", a100, 4096, 2048, 4096, true, false, f32, f32, true, 0, {TF32_128}, false},
        {"float, TF32 allowed, on a T4", t4, 4096, 2048, 4096, true, false, f32, f32, true, 0, {SIMT_F32_128}, false},
        {"float, TF32 allowed, odd leading dimensions", a100, 4096, 2048, 4096, true, false, f32, f32, true, 3, {SIMT_F32_128}, false},
        {"a small float product", a100, 64, 64, 64, true, false, f32, f32, false, 0, {SIMT_F32_64}, false},
        {"nothing to sum", a100, 64, 64, 0, true, false, bf16, f32, false, 0, {SIMT_BF16}, false},
        {"F16 prompts", a100, 4096, 512, 4096, true, false, f16, f16, false, 0, {F16_F16_128, F16_F16_256}, false},
    };
    for (auto & w : table) {
        Gemm g{};
        g.ta = w.ta, g.tb = w.tb, g.m = w.m, g.n = w.n, g.k = w.k, g.alpha = 1, g.batch = 1, g.in = w.in, g.out = w.out, g.tf32 = w.tf32;
        g.lda = (w.ta ? w.k : w.m) + w.pad, g.ldb = (w.tb ? w.n : w.k) + w.pad, g.ldc = w.m + w.pad;
        Launch l = plan(w.card, g);
        if (std::find(w.kernels.begin(), w.kernels.end(), l.kernel) == w.kernels.end()) {
            fail(std::string("plan: ") + w.what + ": " + (l.kernel < KERNELS ? kernel_table[l.kernel].name : "none"));
        }
        if ((l.splits > 1) != w.split) fail(std::string("plan: ") + w.what + ": splits " + std::to_string(l.splits));
        if (l.M != w.n || l.N != w.m || l.layout != layout_of(!w.tb, !w.ta)) fail(std::string("plan: ") + w.what + ": operands");
    }
    // Alignment decides, in whatever way it is lost.
    Gemm g{};
    g.ta = true, g.m = 512, g.n = 512, g.k = 512, g.alpha = 1, g.batch = 2, g.in = bf16, g.out = f32;
    g.lda = g.ldb = g.ldc = 512, g.sa = g.sb = g.sc = 512 * 512;
    auto simt = [&](const Gemm & g) { return kernel_table[plan(a100, g).kernel].align_in; };
    if (simt(g) != 8) fail("plan: an aligned batch");
    Gemm h = g; h.A = reinterpret_cast<void *>(2);
    if (simt(h) != 1) fail("plan: a pointer at 2");
    h = g, h.A = reinterpret_cast<void *>(4);
    if (simt(h) != 2) fail("plan: a pointer at 4");
    h = g, h.sb = 512 * 512 + 1;
    if (simt(h) != 1) fail("plan: an odd stride");
    h = g, h.array = true;
    if (simt(h) != 8) fail("plan: arrays are taken for aligned where sizes are");
    if (kernel_table[plan(h100, h).kernel].family == Family::HOPPER) fail("plan: arrays on Hopper");
    printf("%s the choice of kernels\n", failures == before ? "ok  " : "FAIL");
}
