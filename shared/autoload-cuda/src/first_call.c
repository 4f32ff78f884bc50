/* What a trampoline calls when it is jumped to for the first time. Compiled once for each library, with LIBRARY its
   file and RESOLVE the name that its trampolines know this function by. */

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

struct entry {
    void *function; /* where the trampoline jumps to */
    const char *name;
};

static void *give_up(const char *name) {
    fprintf(stderr, "fatal: CUDA's function %s was called, but %s\n", name, dlerror());
    abort();
}

void *RESOLVE(struct entry *entry) {
    /* Loading it again gives the same library, so there is nothing to be kept or guarded. */
    void *library = dlopen(LIBRARY, RTLD_LAZY | RTLD_LOCAL);
    void *function = library ? dlsym(library, entry->name) : NULL;
    if (!function)
        return give_up(entry->name);
    __atomic_store_n(&entry->function, function, __ATOMIC_RELEASE);
    return function;
}
