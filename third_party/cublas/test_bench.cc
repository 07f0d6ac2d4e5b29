// The rate of each kernel on a card, beside the choice that plan makes.
#pragma once

static void bench_one(const char * what, int m, int n, int k, bool ta, bool tb, Type in, Type out, bool tf32) {
    size_t na = size_t(m) * k, nb = size_t(k) * n, nc = size_t(m) * n;
    void * a = card_alloc(na * size_of(in));
    void * b = card_alloc(nb * size_of(in));
    void * c = card_alloc(nc * size_of(out));
    if (!a || !b || !c) {
        printf("--   %s: too little memory on the card\n", what);
        card_free(a), card_free(b), card_free(c);
        return;
    }
    // Rates depend on the bits that toggle: small random numbers, not zeros.
    std::vector<uint16_t> noise(1 << 20);
    for (auto & x : noise) x = in == Type::F16 ? 0x2c00 | (rng() & 0x83ff) : 0x3d00 | (rng() & 0x80ff);
    for (char * p : {static_cast<char *>(a), static_cast<char *>(b)}) {
        size_t bytes = (p == a ? na : nb) * size_of(in);
        for (size_t i = 0; i < bytes; i += noise.size() * 2) card_copy(p + i, noise.data(), std::min(bytes - i, noise.size() * 2));
    }
    Gemm g{};
    g.ta = ta, g.tb = tb, g.m = m, g.n = n, g.k = k, g.alpha = 1, g.A = a, g.B = b, g.C = c;
    g.lda = ta ? k : m, g.ldb = tb ? n : k, g.ldc = m, g.batch = 1, g.in = in, g.out = out, g.tf32 = tf32;
    Launch      chosen = plan(handle->device, g);
    cudaEvent_t start, stop;
    cudaEventCreate(&start), cudaEventCreate(&stop);
    printf("%s %c%c m=%d n=%d k=%d, chosen %s in %d\n", what, ta ? 'T' : 'N', tb ? 'T' : 'N', m, n, k, kernel_table[chosen.kernel].name, chosen.splits);
    for (int id = 0; id < KERNELS; id++) {
        Launch l = row_major(g);
        if (!fits(handle->device, kernel_table[id], l, tf32)) continue;
        if (kernel_table[id].family == Family::SIMT && in != Type::F32) continue; // seconds
        for (int s : {1, 2, 4, 8}) {
            if (s > 1 && (!splits(kernel_table[id], l) || k / s < 4 * kernel_table[id].tk || double(m) * n > 3e7)) continue;
            l.kernel = KernelId(id), l.splits = s;
            float best = 1e9f;
            for (int i = 0; i < 12; i++) {
                cudaEventRecord(start);
                if (run(*handle, l) != CUBLAS_STATUS_SUCCESS) fail(std::string("bench: ") + kernel_table[id].name);
                cudaEventRecord(stop);
                cudaEventSynchronize(stop);
                float ms = 0;
                cudaEventElapsedTime(&ms, start, stop);
                if (i > 1) best = std::min(best, ms);
            }
            printf("  %-18s in %d %9.3f ms %8.1f TFLOP/s%s\n", kernel_table[id].name, s, best, 2e-9 * m * n * k / best,
                id == chosen.kernel && s == chosen.splits ? "  <- chosen" : "");
        }
    }
    cudaEventDestroy(start), cudaEventDestroy(stop);
    card_free(a), card_free(b), card_free(c);
}

// An 8B Llama's products with rows of 2,048 tokens: forward (TN), backward to the input (NN), and an adapter's.
static void bench() {
    const Type bf16 = Type::BF16, f16 = Type::F16, f32 = Type::F32;
    for (int rows : {2048, 8192}) {
        bench_one("attention forward", 4096, rows, 4096, true, false, bf16, f32, false);
        bench_one("attention backward", 4096, rows, 4096, false, false, bf16, f32, false);
        bench_one("keys and values", 1024, rows, 4096, true, false, bf16, f32, false);
        bench_one("feed-forward up", 14336, rows, 4096, true, false, bf16, f32, false);
        bench_one("feed-forward down", 4096, rows, 14336, true, false, bf16, f32, false);
        bench_one("feed-forward down, back", 14336, rows, 4096, false, false, bf16, f32, false);
        bench_one("adapter in", 16, rows, 4096, true, false, bf16, f32, false);
        bench_one("adapter out", 4096, rows, 16, true, false, bf16, f32, false);
        bench_one("adapter's gradient", 4096, 16, rows, false, true, bf16, f32, false);
        bench_one("adapter's gradient, other side", 16, 4096, rows, false, true, bf16, f32, false);
    }
    bench_one("weight-shaped gradient", 4096, 4096, 2048, false, true, bf16, f32, false);
    bench_one("vocabulary", 128256, 512, 4096, true, false, bf16, f32, false);
    bench_one("prompt", 4096, 512, 4096, true, false, f16, f16, false);
    bench_one("half into float", 4096, 2048, 4096, true, false, f16, f32, false);
    bench_one("float", 4096, 2048, 4096, true, false, f32, f32, false);
    bench_one("TF32", 4096, 2048, 4096, true, false, f32, f32, true);
}
