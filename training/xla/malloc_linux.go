package xla

/*
#include <malloc.h>

// keep_memory lets glibc keep what XLA frees. XLA asks for its buffers anew at
// every step, a gigabyte of them; glibc gives each a mapping of its own, whose
// pages the kernel zeroes at first touch and takes back when it is freed.
static void keep_memory(void) {
	mallopt(M_MMAP_MAX, 0);
	mallopt(M_ARENA_MAX, 1);
	mallopt(M_TRIM_THRESHOLD, -1); // never
	mallopt(M_TOP_PAD, 268435456);
}
*/
import "C"

// keepMemory makes training on the CPU much faster: see docs/training-speed.md.
func keepMemory() { C.keep_memory() }
