/* A library to be preloaded: the n-th call that writes below a folder fails, in this process and in all that it starts.
   Counted are opening for writing, write, fsync, rename, link, mkdir, fwrite and fclose. What is to fail, and how many calls
   there were, stands in a file (FAULTS_STATE) that all processes map. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

struct state { int at, error, lasting, count; char folder[PATH_MAX]; };
static struct state *state;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("FAULTS_STATE");
    int fd = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR, 0) : -1;
    if (fd < 0) return;
    void *found = mmap(NULL, sizeof *state, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    if (found != MAP_FAILED) state = found;
}

/* A full disk stays full for what takes room; a rename within it fails once. */
static int fails(int takes_room) {
    int number = __sync_add_and_fetch(&state->count, 1);
    if (!state->at || number < state->at || (number > state->at && !(state->lasting && takes_room))) return 0;
    errno = state->error;
    return 1;
}

static int below(const char *path) {
    size_t length = state ? strlen(state->folder) : 0;
    return length && !strncmp(path, state->folder, length) && path[length] == '/';
}

static int path_fails(const char *path, int takes_room) {
    char whole[2 * PATH_MAX], folder[PATH_MAX];
    if (!state || !path) return 0;
    if (path[0] == '/') return below(path) && fails(takes_room);
    if (!getcwd(folder, sizeof folder)) return 0;
    snprintf(whole, sizeof whole, "%s/%s", folder, path);
    return below(whole) && fails(takes_room);
}

static int fd_fails(int fd) {
    char link[64], path[PATH_MAX];
    if (!state) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return below(path) && fails(1);
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define WRITES(flags) (((flags) & O_ACCMODE) != O_RDONLY || ((flags) & O_CREAT))

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        va_list more; va_start(more, flags); int mode = va_arg(more, int); va_end(more); \
        return WRITES(flags) && path_fails(path, 1) ? -1 : NEXT(name)(path, flags, mode); }
OPEN(open)
OPEN(open64)

#define OPENAT(name) \
    int name(int at, const char *path, int flags, ...) { \
        va_list more; va_start(more, flags); int mode = va_arg(more, int); va_end(more); \
        return WRITES(flags) && path_fails(path, 1) ? -1 : NEXT(name)(at, path, flags, mode); }
OPENAT(openat)
OPENAT(openat64)

#define FOPEN(name) \
    FILE *name(const char *restrict path, const char *restrict mode) { \
        return mode[0] != 'r' && path_fails(path, 1) ? NULL : NEXT(name)(path, mode); }
FOPEN(fopen)
FOPEN(fopen64)

ssize_t write(int fd, const void *data, size_t size) { return fd_fails(fd) ? -1 : NEXT(write)(fd, data, size); }
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    return fd_fails(fd) ? -1 : NEXT(pwrite64)(fd, data, size, at); }
ssize_t writev(int fd, const struct iovec *parts, int count) {
    return fd_fails(fd) ? -1 : NEXT(writev)(fd, parts, count); }
int fsync(int fd) { return fd_fails(fd) ? -1 : NEXT(fsync)(fd); }
int ftruncate64(int fd, off64_t size) { return fd_fails(fd) ? -1 : NEXT(ftruncate64)(fd, size); }
int rename(const char *from, const char *to) { return path_fails(to, 0) ? -1 : NEXT(rename)(from, to); }
int link(const char *from, const char *to) { return path_fails(to, 1) ? -1 : NEXT(link)(from, to); }
int mkdir(const char *path, mode_t mode) { return path_fails(path, 1) ? -1 : NEXT(mkdir)(path, mode); }
size_t fwrite(const void *restrict data, size_t size, size_t count, FILE *restrict file) {
    if (!fd_fails(fileno(file))) return NEXT(fwrite)(data, size, count, file);
    file->_flags |= 0x20; /* what ferror tells */
    return 0; }
int fclose(FILE *file) {
    int failed = (file->_flags & 0x0800) && fd_fails(fileno(file)), error = errno; /* it was written to */
    int closed = NEXT(fclose)(file);
    if (!failed) return closed;
    errno = error;
    return EOF;
}
