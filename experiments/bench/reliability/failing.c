/* Lets the n-th call that writes, forces to disk or renames fail, whoever in the process makes it; or kills the
   process in its place, as kill -9 does.

   cc -shared -fPIC -O2 -o failing.so failing.c -ldl;  LD_PRELOAD=failing.so python ...

   Writes count where they go to a regular file.  */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

static atomic_long left; /* until the call that fails; 0: none will */
static atomic_int kills; /* whether that call kills */

/* Fail the n-th call from now on; 0: none.  Returns what was left of the number before. */
long fail_at(long n) { return atomic_exchange(&left, n); }

/* The same, but the n-th call kills the process. */
long kill_at(long n) {
  atomic_store(&kills, 1);
  return fail_at(n);
}

static int fails(void) {
  long now = atomic_load(&left);
  while (now > 0)
    if (atomic_compare_exchange_weak(&left, &now, now - 1)) {
      if (now == 1 && atomic_load(&kills)) raise(SIGKILL);
      if (now == 1) errno = EIO;
      return now == 1;
    }
  return 0;
}

static int is_file(int descriptor) {
  struct stat status;
  return fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define WRITES(name, parameters, arguments)           \
  ssize_t name parameters {                           \
    if (is_file(descriptor) && fails()) return -1;    \
    return REAL(name) arguments;                      \
  }

#define CALLS(name, parameters, arguments) \
  int name parameters {                    \
    if (fails()) return -1;                \
    return REAL(name) arguments;           \
  }

ssize_t write(int, const void *, size_t);
ssize_t pwrite(int, const void *, size_t, off_t);
ssize_t pwrite64(int, const void *, size_t, off64_t);
int fsync(int);
int fdatasync(int);
int rename(const char *, const char *);
int renameat(int, const char *, int, const char *);
int renameat2(int, const char *, int, const char *, unsigned);

WRITES(write, (int descriptor, const void *data, size_t size), (descriptor, data, size))
WRITES(pwrite, (int descriptor, const void *data, size_t size, off_t at), (descriptor, data, size, at))
WRITES(pwrite64, (int descriptor, const void *data, size_t size, off64_t at), (descriptor, data, size, at))
WRITES(writev, (int descriptor, const struct iovec *parts, int count), (descriptor, parts, count))
CALLS(fsync, (int descriptor), (descriptor))
CALLS(fdatasync, (int descriptor), (descriptor))
CALLS(rename, (const char *from, const char *to), (from, to))
CALLS(renameat, (int a, const char *from, int b, const char *to), (a, from, b, to))
CALLS(renameat2, (int a, const char *from, int b, const char *to, unsigned flags), (a, from, b, to, flags))
