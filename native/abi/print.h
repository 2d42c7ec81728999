// Prints constants and struct layouts of the included headers as TypeScript. generate.ts compiles and runs each program.
#include <stddef.h>
#include <stdio.h>
#include <string.h>

// A number; X prints it in hexadecimal (ioctl codes, masks).
#define C(name) printf("export const %s = %lld;\n", #name, (long long)(name));
#define X(name) printf("export const %s = 0x%llx;\n", #name, (unsigned long long)(name));

// Byte offsets of members, and the size of the whole. OPEN leaves the size out: newer headers append members.
#define M(member) printf(strchr(#member, '.') ? "  '%s': %zu,\n" : "  %s: %zu,\n", #member, offsetof(T, member));
#define SIZE printf("  sizeof: %zu,\n", sizeof(T));
#define LAYOUT(name, ...)                                     \
  {                                                           \
    typedef struct name T;                                    \
    printf("/** Byte offsets in struct %s. */\n", #name);     \
    printf("export const %s = {\n", #name);                   \
    __VA_ARGS__                                               \
    printf("} as const;\n");                                  \
  }
#define STRUCT(name, ...) LAYOUT(name, SIZE __VA_ARGS__)
#define OPEN(name, ...) LAYOUT(name, __VA_ARGS__)
