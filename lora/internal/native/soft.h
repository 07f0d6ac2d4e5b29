// What the plain and the vector versions of distillation share.
#ifndef CLOISTER_SOFT_H
#define CLOISTER_SOFT_H

#include "kernels.h"

// CK_LEAST_REST is the least that all other tokens have beside the likeliest, so that no logarithm is infinite: what a float's
// exponential can tell from nothing.
#define CK_LEAST_REST 1e-37

// ck_insert puts the logit v of token id into the largest of a row, largest first, of which there are count <= k; one that
// is not larger than the last of k is left out, so of equal ones the first stays. It returns the new count.
static inline int ck_insert(float * top, int32_t * ids, int count, int k, float v, int id) {
    if (count == k && !(v > top[k - 1])) {
        return count;
    }
    int at = count < k ? count : k - 1;
    for (; at > 0 && v > top[at - 1]; at--) {
        top[at] = top[at - 1];
        ids[at] = ids[at - 1];
    }
    top[at] = v;
    ids[at] = id;
    return count < k ? count + 1 : k;
}

// ck_first_largest says whether x[target] is the first of the values m, the largest.
static inline bool ck_first_largest(const float * x, int target, float m) {
    for (int i = 0; i < target; i++) {
        if (x[i] == m) {
            return false;
        }
    }
    return x[target] == m;
}

#endif
