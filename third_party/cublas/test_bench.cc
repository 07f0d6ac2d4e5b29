// The rate of each kernel on a card, beside the choice that plan makes.
#pragma once

// What both operands hold: small random numbers, as the rate depends on the bits that toggle, over and over.
static std::vector<uint16_t> noise(1 << 20);

static double noise_at(Type t, size_t i) {
    size_t mask = noise.size() - 1;
    if (t == Type::F32) return bits_to_float(noise[2 * i & mask] | uint32_t(noise[(2 * i + 1) & mask]) << 16);
    uint16_t bits = noise[i & mask];
    return t == Type::F16 ? to_float(Half{bits}) : to_float(BFloat{bits});
}

// Compares elements of C here and there, as all of it would take the host minutes.
static bool sample(const Gemm & g) {
    for (int s = 0; s < 200; s++) {
        int    i = s == 0 ? g.m - 1 : int(rng() % g.m), j = s == 0 ? g.n - 1 : int(rng() % g.n);
        double sum = 0, size = 0;
        for (size_t l = 0; l < size_t(g.k); l++) {
            double x = noise_at(g.in, g.ta ? i * size_t(g.lda) + l : l * g.lda + i) * noise_at(g.in, g.tb ? l * g.ldb + j : j * size_t(g.ldb) + l);
            sum += x, size += std::fabs(x);
        }
        uint32_t bits = 0;
        card_copy(&bits, static_cast<char *>(g.C) + (j * size_t(g.ldc) + i) * size_of(g.out), size_of(g.out));
        double got = g.out == Type::F32 ? bits_to_float(bits) : to_float(Half{uint16_t(bits)});
        if (!(std::fabs(got - sum) <= 1e-3 * size)) return false;
    }
    return true;
}

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
            cudaMemset(c, 0xff, nc * size_of(out)); // NaN: what is not written shows
            for (int i = 0; i < 12; i++) {
                cudaEventRecord(start);
                if (run(*handle, l) != CUBLAS_STATUS_SUCCESS) fail(std::string("bench: ") + kernel_table[id].name);
                cudaEventRecord(stop);
                cudaEventSynchronize(stop);
                float ms = 0;
                cudaEventElapsedTime(&ms, start, stop);
                if (i > 1) best = std::min(best, ms);
            }
            if (!sample(g)) fail(std::string("bench: ") + kernel_table[id].name + " is wrong: " + cudaGetErrorName(cudaGetLastError()));
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
