/* Makes reads of some files fail with EIO, as a bad sector does: preload it, and name in
   PGVOW_EIO_NAME the end of the files' names, in PGVOW_EIO_FROM the offset from which on, and in
   PGVOW_EIO_ERRNO the number of another error. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static int is_bad(int fd, off_t end)
{
    const char *name = getenv("PGVOW_EIO_NAME"), *from = getenv("PGVOW_EIO_FROM");
    char link[64], path[4096];
    ssize_t size;
    size_t length;

    if (!name || end < (from ? atoll(from) : 0))
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    size = readlink(link, path, sizeof path - 1);
    if (size < 0)
        return 0;
    path[size] = 0;
    length = strlen(name);
    return (size_t) size >= length && strcmp(path + size - length, name) == 0;
}

static off_t total(const struct iovec *pieces, int count)
{
    off_t size = 0;
    for (int i = 0; i < count; i++)
        size += pieces[i].iov_len;
    return size;
}

#define REAL(result, name, arguments) \
    static result (*real) arguments; \
    if (!real) real = (result (*) arguments) dlsym(RTLD_NEXT, #name)
#define FAIL_IF(bad) do { if (bad) { errno = chosen_error(); return -1; } } while (0)

static int chosen_error(void)
{
    const char *number = getenv("PGVOW_EIO_ERRNO");
    return number ? atoi(number) : EIO;
}

ssize_t read(int fd, void *buffer, size_t size)
{
    REAL(ssize_t, read, (int, void *, size_t));
    off_t at = lseek(fd, 0, SEEK_CUR);
    FAIL_IF(at >= 0 && is_bad(fd, at + (off_t) size));
    return real(fd, buffer, size);
}

ssize_t pread64(int fd, void *buffer, size_t size, off_t at)
{
    REAL(ssize_t, pread64, (int, void *, size_t, off_t));
    FAIL_IF(is_bad(fd, at + (off_t) size));
    return real(fd, buffer, size, at);
}

ssize_t pread(int fd, void *buffer, size_t size, off_t at)
{
    return pread64(fd, buffer, size, at);
}

ssize_t preadv64(int fd, const struct iovec *pieces, int count, off_t at)
{
    REAL(ssize_t, preadv64, (int, const struct iovec *, int, off_t));
    FAIL_IF(is_bad(fd, at + total(pieces, count)));
    return real(fd, pieces, count, at);
}

ssize_t preadv(int fd, const struct iovec *pieces, int count, off_t at)
{
    return preadv64(fd, pieces, count, at);
}

ssize_t preadv2(int fd, const struct iovec *pieces, int count, off_t at, int flags)
{
    (void) flags;
    return preadv64(fd, pieces, count, at);
}

ssize_t preadv64v2(int fd, const struct iovec *pieces, int count, off_t at, int flags)
{
    (void) flags;
    return preadv64(fd, pieces, count, at);
}
