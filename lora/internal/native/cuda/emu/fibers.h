// The threads of a block as fibers of one CPU thread: each runs until it waits
// at a barrier or for its warp, then one of those that can run goes on, of which
// chance decides. So a missing barrier shows as garbage, and the seed repeats it.
#ifndef CLOISTER_EMU_FIBERS_H
#define CLOISTER_EMU_FIBERS_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <functional>
#include <vector>

#ifndef __x86_64__
#error "the emulation of CUDA switches stacks in x86-64 assembly"
#endif

struct uint3 {
    unsigned x, y, z;
};
struct dim3 {
    unsigned x, y, z;
    dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

static uint3 threadIdx, blockIdx;
static dim3  blockDim, gridDim;

extern "C" void cloister_emu_switch(void ** save, void * to);
asm(R"(
.text
.type cloister_emu_switch,@function
.local cloister_emu_switch
cloister_emu_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size cloister_emu_switch,.-cloister_emu_switch
)");

namespace emu {

[[noreturn]] inline void die(const char * what) {
    fprintf(stderr, "emulated CUDA: %s\n", what);
    abort();
}

enum { WARP = 32, MOST = 1024, STACK = 64 << 10, PAGE = 4096 };

// What a lane leaves for its warp; two sets in turn, so that a slow reader of one does not race with the next.
struct slot {
    int      op;
    uint32_t v[8];
    void *   p;
};

// pending is a copy into shared memory that a thread has begun and not yet waited for.
struct pending {
    void *       to;
    const void * from;
};

struct fiber {
    void *   sp;
    uint3    tid;
    int      lane, warp;
    unsigned ops; // of the warp that this lane has begun
    bool     done;
    std::vector<std::vector<pending>> copies; // by group; the last one is open
};

struct block {
    std::vector<char *>           stacks;
    fiber                         f[MOST];
    slot                          slots[MOST / WARP][2][WARP];
    int                           arrived[MOST / WARP];
    int                           ready[MOST], n_ready, waiting[MOST], n_waiting, alive;
    fiber *                       now;
    void *                        home; // where run was called
    const std::function<void()> * body;
    uint64_t                      seed;
    bool                          ahead; // one warp before the others
    const char *                  kernel;
    char *                        shared_map;
    char *                        shared;
};

static block B;

inline uint32_t random32() {
    B.seed = B.seed * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t) (B.seed >> 33);
}

inline void enter(int i) {
    B.now     = &B.f[i];
    threadIdx = B.now->tid;
}

// pick takes any fiber that can run, or in every other block the one that was woken last: then a warp runs as far ahead of the
// others as it can.
inline int pick() {
    int at = B.ahead ? B.n_ready - 1 : (int) (random32() % (uint32_t) B.n_ready), i = B.ready[at];
    B.ready[at] = B.ready[--B.n_ready];
    return i;
}

// leave gives the CPU to another fiber; the caller has put itself on some list, or has ended.
inline void leave() {
    fiber * self = B.now;
    if (B.n_ready == 0 && B.alive > 0 && B.n_waiting == B.alive) { // everybody is at the barrier
        memcpy(B.ready, B.waiting, sizeof(int) * (size_t) B.n_waiting);
        B.n_ready   = B.n_waiting;
        B.n_waiting = 0;
    }
    if (B.n_ready == 0) {
        if (B.alive > 0) {
            fprintf(stderr, "emulated CUDA: kernel %s: some threads wait at a barrier, others for their warp\n", B.kernel);
            abort();
        }
        cloister_emu_switch(&self->sp, B.home);
        die("a thread ran on after its end");
    }
    int i = pick();
    if (&B.f[i] == self) {
        return;
    }
    enter(i);
    cloister_emu_switch(&self->sp, B.now->sp);
}

inline void barrier() {
    B.waiting[B.n_waiting++] = (int) (B.now - B.f);
    leave();
}

// gather leaves this lane's slot and returns those of the whole warp, when all 32 lanes have come to the same operation. The
// last to come calls done with them first.
template <class F> slot * gather(const slot & mine, F done) {
    fiber * self = B.now;
    slot *  all  = B.slots[self->warp][self->ops++ & 1];
    all[self->lane] = mine;
    if (++B.arrived[self->warp] < WARP) {
        leave();
        return all;
    }
    B.arrived[self->warp] = 0;
    for (int l = 0; l < WARP; l++) {
        fiber * f = &B.f[self->warp * WARP + l];
        if (f->done || all[l].op != mine.op || f->ops != self->ops) {
            fprintf(stderr, "emulated CUDA: kernel %s: the lanes of a warp are at different operations\n", B.kernel);
            abort();
        }
        if (f != self) {
            B.ready[B.n_ready++] = (int) (f - B.f);
        }
    }
    done(all);
    return all;
}


inline void thread_main() {
    (*B.body)();
    for (auto & group : B.now->copies) {
        if (!group.empty()) {
            die("a thread ended before its copies into shared memory");
        }
    }
    B.now->done = true;
    B.alive--;
    leave();
    die("a thread was woken after its end");
}

inline void prepare(int threads) {
    while ((int) B.stacks.size() < threads) {
        char * m = (char *) mmap(NULL, STACK + PAGE, PROT_READ | PROT_WRITE, MAP_ANON | MAP_PRIVATE, -1, 0);
        if (m == MAP_FAILED || mprotect(m, PAGE, PROT_NONE) != 0) {
            die("no memory for stacks");
        }
        B.stacks.push_back(m + PAGE);
    }
    for (int i = 0; i < threads; i++) {
        fiber * f  = &B.f[i];
        void ** sp = (void **) (B.stacks[(size_t) i] + STACK) - 1; // a call leaves the stack 8 below a multiple of 16
        *sp        = NULL;
        *--sp      = (void *) thread_main;
        sp -= 6;
        memset(sp, 0, 6 * sizeof *sp);
        unsigned n = (unsigned) i;
        *f = fiber{sp, uint3{n % blockDim.x, n / blockDim.x % blockDim.y, n / blockDim.x / blockDim.y}, i % WARP, i / WARP, 0, false, {{}}};
        B.ready[i] = i;
    }
    for (int i = threads - 1; i > 0; i--) {
        std::swap(B.ready[i], B.ready[random32() % (uint32_t) (i + 1)]);
    }
    B.ahead = random32() % 2 == 0;
    memset(B.arrived, 0, sizeof B.arrived);
    B.n_ready = B.alive = threads;
    B.n_waiting         = 0;
}

// shared_of gives a block its shared memory, which ends where the page does: what is read beyond it faults. It holds NaN.
inline void shared_of(size_t bytes) {
    const size_t most = 256 << 10;
    if (B.shared_map == NULL) {
        B.shared_map = (char *) mmap(NULL, most + PAGE, PROT_READ | PROT_WRITE, MAP_ANON | MAP_PRIVATE, -1, 0);
        if (B.shared_map == MAP_FAILED || mprotect(B.shared_map + most, PAGE, PROT_NONE) != 0) {
            die("no shared memory");
        }
    }
    bytes    = (bytes + 15) / 16 * 16;
    B.shared = B.shared_map + most - bytes;
    memset(B.shared, 0xff, bytes);
}

// run goes through the blocks of a grid in random order.
inline void run(const char * kernel, dim3 grid, dim3 threads, size_t shared, const std::function<void()> & body) {
    gridDim  = grid;
    blockDim = threads;
    B.kernel = kernel;
    B.body   = &body;
    uint64_t blocks = (uint64_t) grid.x * grid.y * grid.z, first = random32() % blocks;
    for (uint64_t b = 0; b < blocks; b++) {
        uint64_t n = (b + first) % blocks;
        blockIdx   = uint3{(unsigned) (n % grid.x), (unsigned) (n / grid.x % grid.y), (unsigned) (n / grid.x / grid.y)};
        shared_of(shared);
        prepare((int) (threads.x * threads.y * threads.z));
        enter(pick());
        cloister_emu_switch(&B.home, B.now->sp);
    }
}

}  // namespace emu

#endif
