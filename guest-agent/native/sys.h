// What main.c and sys.c share.
#ifndef TSKATA_SYS_H
#define TSKATA_SYS_H
#include "quickjs.h"

// Makes the module `tskata-sys` known to the context; argc and argv become its export `argv`.
// Returns 0, or -1 with an exception pending.
int sys_init_module(JSContext *ctx, int argc, char **argv);

#endif
