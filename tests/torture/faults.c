/* Makes the N-th call of a kind on files below some folders fail. Loaded with LD_PRELOAD; armed through shared memory. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

enum { OPEN, WRITE, SYNC, RENAME, MKDIR, LINK, KINDS };

struct control {
    long counts[KINDS];
    long kind, number, error, lasting, failed;
    char below[4][512];
};
struct control *faults = 0; /* set by the child that is to suffer */

static int ours(const char *path) {
    char whole[PATH_MAX];
    if (path[0] != '/') {
        char here[PATH_MAX];
        if (!getcwd(here, sizeof here)) return 0;
        snprintf(whole, sizeof whole, "%s/%s", here, path);
        path = whole;
    }
    for (int i = 0; i < 4; i++)
        if (faults->below[i][0] && strstr(path, faults->below[i])) return 1;
    return 0;
}

static int due(int kind) {
    long now = __sync_add_and_fetch(&faults->counts[kind], 1);
    if (kind != faults->kind || !(now == faults->number || (faults->lasting && now > faults->number && faults->number)))
        return 0;
    faults->failed = 1;
    errno = (int)faults->error;
    return 1;
}

static int fails_at(int kind, const char *path) { return faults && path && ours(path) && due(kind); }

static int fails(int kind, int file) {
    char link[64], path[PATH_MAX];
    if (!faults) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size <= 0) return 0;
    path[size] = 0;
    return ours(path) && due(kind);
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define OPENER(name)                                                                                                   \
    int name(const char *path, int flags, ...) {                                                                      \
        va_list more;                                                                                                  \
        va_start(more, flags);                                                                                         \
        mode_t mode = va_arg(more, mode_t);                                                                            \
        va_end(more);                                                                                                  \
        return fails_at(OPEN, path) ? -1 : NEXT(name)(path, flags, mode);                                             \
    }
#define OPENER_AT(name)                                                                                                \
    int name(int folder, const char *path, int flags, ...) {                                                          \
        va_list more;                                                                                                  \
        va_start(more, flags);                                                                                         \
        mode_t mode = va_arg(more, mode_t);                                                                            \
        va_end(more);                                                                                                  \
        return fails_at(OPEN, path) ? -1 : NEXT(name)(folder, path, flags, mode);                                     \
    }
OPENER(open)
OPENER(open64)
OPENER_AT(openat)
OPENER_AT(openat64)

ssize_t write(int file, const void *from, size_t size) { return fails(WRITE, file) ? -1 : NEXT(write)(file, from, size); }
ssize_t pwrite(int file, const void *from, size_t size, off_t at) {
    return fails(WRITE, file) ? -1 : NEXT(pwrite)(file, from, size, at);
}
ssize_t pwrite64(int file, const void *from, size_t size, off64_t at) {
    return fails(WRITE, file) ? -1 : NEXT(pwrite64)(file, from, size, at);
}
int ftruncate(int file, off_t size) { return fails(WRITE, file) ? -1 : NEXT(ftruncate)(file, size); }
int ftruncate64(int file, off64_t size) { return fails(WRITE, file) ? -1 : NEXT(ftruncate64)(file, size); }
int fsync(int file) { return fails(SYNC, file) ? -1 : NEXT(fsync)(file); }
int fdatasync(int file) { return fails(SYNC, file) ? -1 : NEXT(fdatasync)(file); }
int syncfs(int file) { return fails(SYNC, file) ? -1 : NEXT(syncfs)(file); }
int rename(const char *from, const char *to) { return fails_at(RENAME, to) ? -1 : NEXT(rename)(from, to); }
int renameat(int one, const char *from, int other, const char *to) {
    return fails_at(RENAME, to) ? -1 : NEXT(renameat)(one, from, other, to);
}
int renameat2(int one, const char *from, int other, const char *to, unsigned flags) {
    return fails_at(RENAME, to) ? -1 : NEXT(renameat2)(one, from, other, to, flags);
}
int mkdir(const char *path, mode_t mode) { return fails_at(MKDIR, path) ? -1 : NEXT(mkdir)(path, mode); }
int link(const char *from, const char *to) { return fails_at(LINK, to) ? -1 : NEXT(link)(from, to); }
int linkat(int one, const char *from, int other, const char *to, int flags) {
    return fails_at(LINK, to) ? -1 : NEXT(linkat)(one, from, other, to, flags);
}
