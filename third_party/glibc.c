// Two functions that GCC 12's static runtime takes from the C library of the machine that builds, so that
// bin/cloister-cuda starts with older ones too: from glibc 2.34 on (2021) in place of 2.36.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <stdlib.h>
#include <sys/random.h>

// Of glibc 2.36; std::random_device asks it.
unsigned arc4random(void) {
    unsigned v;
    if (getrandom(&v, sizeof v, 0) != sizeof v) {
        abort(); // never, for so few bytes
    }
    return v;
}

static int holds(struct dl_phdr_info * info, size_t size, void * arg) {
    (void) size;
    struct dl_find_object * out = arg;
    const ElfW(Addr) pc = (ElfW(Addr)) out->dlfo_map_start;
    const ElfW(Phdr) * frame = NULL, * code = NULL;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) * p = &info->dlpi_phdr[i];
        if (p->p_type == PT_LOAD && pc - (info->dlpi_addr + p->p_vaddr) < p->p_memsz) {
            code = p;
        } else if (p->p_type == PT_GNU_EH_FRAME) {
            frame = p;
        }
    }
    if (code == NULL || frame == NULL) {
        return 0;
    }
    out->dlfo_map_start = (void *) (info->dlpi_addr + code->p_vaddr);
    out->dlfo_map_end = (char *) out->dlfo_map_start + code->p_memsz;
    out->dlfo_eh_frame = (void *) (info->dlpi_addr + frame->p_vaddr);
    return 1;
}

// Of glibc 2.35; the unwinder asks it for the tables of the code at pc.
int _dl_find_object(void * pc, struct dl_find_object * out) {
    *out = (struct dl_find_object) { .dlfo_map_start = pc };
    return dl_iterate_phdr(holds, out) == 1 ? 0 : -1;
}
