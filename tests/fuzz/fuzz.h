/* tests/fuzz/fuzz.h: readers of input that comes from outside, each as a function of bytes.
 * Purpose  `make fuzz` links each to libFuzzer (as LLVMFuzzerTestOneInput); tests/unit/test_fuzz.c feeds
 *          each the files of tests/fuzz/corpus/NAME, so that what was found once stays found.
 * Errors   none: a bug is an abort.   Returns 0. */
#pragma once

#include <stddef.h>
#include <stdint.h>

int fuzz_policy(const uint8_t *data, size_t size);
int fuzz_snapshot(const uint8_t *data, size_t size);
int fuzz_import(const uint8_t *data, size_t size);
