// Definitions that a library built with a new C library needs to load with an old one.

#if defined(__linux__)
// glibc 2.32 and newer tell by this variable whether a process has one thread, so that the C++
// library counts references without atomic instructions.  Sessions have threads of their own.
extern "C" {
// NOLINTNEXTLINE(bugprone-reserved-identifier): the C library's own name.
__attribute__((visibility("hidden"))) char __libc_single_threaded = 0;
}
#endif
